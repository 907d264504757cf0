// Some rows of a weight times all rows of activations, by registers.
#pragma once

#include "panel.h"
#include "scratch.h"
#include "weights.h"

namespace enfold {

constexpr int WIDE = PANELS * PANEL;  // rows of activations in a block
constexpr int64_t DEEP = 256;         // granules of a row that are copied at a time
constexpr int64_t PITCH = DEEP + 16;  // from row to row of the copy

// `count` elements of a row of weights as granules, and zeros up to the next whole granule.
template <class T> void copy(Wide<T>, const T* w, int64_t count, float* to) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(w + i));
    for (; i < count; i++) to[i] = to_float(w[i]);
}
#if ENFOLD_BF16
template <class D> void copy(D, const typename D::W* w, int64_t count, float* to) {
    const int64_t bytes = count * int64_t(sizeof *w), whole = bytes / 4;
    std::memcpy(to, w, size_t(whole) * 4);
    if (bytes % 4) {
        to[whole] = 0;
        std::memcpy(to + whole, (const char*)w + whole * 4, size_t(bytes % 4));
    }
}
#else
inline void copy(Bytes, const int8_t* w, int64_t count, float* to) {
    auto* wide = (int16_t*)to;
    for (int64_t i = 0; i < count; i++) wide[i] = w[i];
    if (count % 2) wide[count] = 0;
}
#endif

// Weights as they lie in memory.
template <class D> struct Stored {
    using W = typename D::W;
    const W* operator()(const Weight& weight, int64_t row, int64_t first, int64_t, W*) const {
        return static_cast<const W*>(weight.data) + row * weight.stride + first;
    }
};
template <class D, class Source> constexpr bool stored() {
    return std::is_same<Source, Stored<D>>::value;
}

// What sums start from: activations that are 128 more than they are make up for it.
template <class D> float start(D, const typename D::W*, int64_t) { return 0; }
#if ENFOLD_BF16
inline float start(Bytes, const int8_t* w, int64_t k) {
    Bytes::Acc acc = Bytes::none();
    int64_t i = 0;
    for (; i + 64 <= k; i += 64) acc = Bytes::own(acc, Bytes::weight(w + i));
    if (i < k) acc = Bytes::own(acc, Bytes::weight(w + i, int(k - i)));
    return as_float(uint32_t(-128 * _mm512_reduce_add_epi32(acc)));
}
#endif

// Sums [rows, WIDE] of `count` rows of activations from `first` on become results.
template <class Out>
void finish(const float* sums, int rows, const Weight& weight, int64_t row, int64_t first,
            int count, const Out& out) {
    for (int c = 0; c < count; c += LANES) {
        for (int r = 0; r < rows; r += LANES) {  // results of a row lie side by side
            F v[LANES];
            for (int i = 0; i < LANES; i++)
                v[i] = r + i < rows ? load(sums + (r + i) * WIDE + c) : zero();
            transpose(v);
            const int some = smaller(rows - r, LANES);
            for (int i = 0; i < LANES && c + i < count; i++)
                out.many(weight, first + c + i, row + r, some, v[i]);
        }
    }
}

// Some rows of one weight, for m rows of activations in panels: a part of a block of activations
// that fits the nearest cache is multiplied with all of them before the next.  Weights come from a
// small copy: converted where needed, and without the conflicts of rows 4096 bytes apart.
template <class D, class Out, class Source>
void group(const Source& source, const Weight& weight, int64_t row, int64_t rows, const float* x,
           int64_t granules, int64_t m, int64_t k, int64_t first, const Out& out) {
    constexpr int64_t EACH = 4 / sizeof(typename D::X);  // elements in a granule
    static thread_local Scratch copies, results;
    const int64_t blocks = (m + WIDE - 1) / WIDE;
    auto* part = copies.get<float>(rows * PITCH);
    auto* sums = results.get<float>(blocks * rows * WIDE);
    typename D::W room[stored<D, Source>() ? 1 : DEEP * EACH];
    for (int64_t r = 0; r < rows; r++) {
        F begin = zero();
        if constexpr (stored<D, Source>())
            begin = all(start(D(), source(weight, row + r, 0, k, room), k));
        for (int64_t b = 0; b < blocks; b++)
            for (int v = 0; v < WIDE; v += LANES) store(sums + (b * rows + r) * WIDE + v, begin);
    }
    for (int64_t i = 0; i < k; i += DEEP * EACH) {
        const int64_t count = smaller(k - i, DEEP * EACH);
        for (int64_t r = 0; r < rows; r++)
            copy(D(), source(weight, row + r, i, count, room), count, part + r * PITCH);
        for (int64_t b = 0; b < blocks; b++)
            multiply<typename D::Form>(part, PITCH * 4, x + b * WIDE * granules + i / EACH * PANEL,
                                       granules * PANEL, sums + b * rows * WIDE, WIDE, rows,
                                       smaller(round_up(m - b * WIDE, PANEL), int64_t(WIDE)),
                                       (count + EACH - 1) / EACH, true);
    }
    for (int64_t b = 0; b < blocks; b++)
        finish(sums + b * rows * WIDE, int(rows), weight, row, first + b * WIDE,
               int(smaller(m - b * WIDE, int64_t(WIDE))), out);
}

}  // namespace enfold
