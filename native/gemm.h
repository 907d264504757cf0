// Products with several weights at once, for any number of rows.
#pragma once

#include "amx.h"
#include "gemv.h"
#include "shares.h"

namespace enfold {

// Rows of activations up to which weights are multiplied row by row.
template <class D> constexpr int64_t few() { return tiled<D>() ? 4 : 12; }

// Granules from the last line of memory to where rows of a weight begin; 0 if rows differ in that.
// Files have their tensors anywhere, and a tile's rows that lie across two lines take twice as long.
template <class W> int64_t lead_of(const Weight& weight, int64_t k) {
    const auto place = int64_t(uintptr_t(weight.data) % 64), bytes = int64_t(sizeof(W));
    return place % 4 || weight.stride * bytes % 64 || k * bytes % 64 ? 0 : place / 4;
}

// How many rows of weights are done together, where a thread's share is so many.
template <class D> int64_t height_of(int64_t share) {
    const int64_t unit = tiled<D>() ? 32 : ROWS, most = tiled<D>() ? 128 : 8 * ROWS;
    return larger(unit, smaller(share / unit * unit, most));
}

// How many of m rows of activations are packed at a time: they should stay in a cache, beside
// weights that come by; tiles want many, as reading the weights takes as long as 128 rows do.
template <class D> int64_t chunk_of(int64_t m, int64_t granules) {
    const int64_t room = (tiled<D>() ? 1 : 2) << 20, least = tiled<D>() ? 128 : 2 * WIDE;
    const int64_t most = larger(least, room / 4 / granules / WIDE * WIDE);
    const int64_t chunks = (m + most - 1) / most;
    return round_up((m + chunks - 1) / chunks, WIDE);
}

// y = x W^T for every weight.  prepare(first, rows, granules, to) writes rows of activations as
// granules, zeros up to a multiple of 16 of them.  source(weight, row, first, count, room) is where
// `count` numbers of a row are, from `first` on; what is stored in fewer bits it makes in `room`.
template <class D, class Out, class Prepare, class Source = Stored<D>>
void gemm(const Weight* weights, int count, const Prepare& prepare, int64_t m, int64_t k,
          const Out& out, int threads, const Source& source = {}) {
    static thread_local Scratch rows_scratch, packed_scratch;
    constexpr bool AMX = tiled<D>();
    const int64_t each = AMX ? 4 / sizeof(typename D::W) : 4 / sizeof(typename D::X);
    const int64_t granules = round_up((k + each - 1) / each, 16);
    const int64_t chunk = chunk_of<D>(m, granules);
    const bool led = AMX && stored<D, Source>() && m > WIDE;
    const int64_t lead = led ? lead_of<typename D::W>(weights[0], k) : 0;
    int64_t total = 0;
    for (int i = 0; i < count; i++) total += weights[i].rows;
    const int64_t height = height_of<D>(total / (2 * threads));
    for (int64_t first = 0; first < m; first += chunk) {
        const int64_t some = smaller(m - first, chunk);
        const float* x = prepare(first, some, granules, rows_scratch);
        float* packed = packed_scratch.get<float>(round_up(some, WIDE) * (granules + 16));
        pack_rows(x, prepare.pitch(granules), some, granules, packed, threads, lead);
        shares(weights, count, height, threads,
               [&](const Weight& weight, int64_t row, int64_t rows, int64_t before) {
#if ENFOLD_AMX
                   if constexpr (AMX && stored<D, Source>()) {
                       amx_group<D>(weight, row, rows, packed, granules, some, k, first,
                                    out.shifted(before), lead);
                       return;
                   } else if constexpr (AMX) {
                       amx_made<D>(source, weight, row, rows, packed, granules, some, k, first,
                                   out.shifted(before));
                       return;
                   }
#endif
                   group<D>(source, weight, row, rows, packed, granules, some, k, first,
                            out.shifted(before));
               });
    }
}

}  // namespace enfold
