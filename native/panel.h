// Small products C [M, N] (+)= A [M, depth] x B, and how B is packed for them: in panels of PANEL
// columns, [granules, PANEL] each.  A granule is 32 bits of depth: a number, or two of bf16.
//
//     pack_rows    rows of a matrix become columns of B (activations; keys, for scores)
//     pack_depth   rows of a matrix become depth (values, for mixing)
//     multiply     C (+)= A x panels
#pragma once

#include "threads.h"
#include "tiles.h"
#include "transpose.h"

namespace enfold {

// Granules of x [rows, granules], rows `ldx` granules apart; granules is a multiple of 16.  lead:
// panels have 16 granules more, zeros, so many of them before the others.
inline void pack_rows(const float* x, int64_t ldx, int64_t rows, int64_t granules, float* to,
                      int threads, int64_t lead = 0) {
    const int64_t panels = (rows + PANEL - 1) / PANEL, depth = granules + (lead ? 16 : 0);
    parallel(panels, 2, threads, [&](int64_t begin, int64_t end) {
        for (int64_t first = begin * PANEL; first < end * PANEL; first += LANES) {
            float* panel = to + first / PANEL * depth * PANEL + first % PANEL;
            for (int64_t g = 0; g < lead; g++, panel += PANEL) store(panel, zero());
            for (int64_t g = granules; g < depth - lead; g++) store(panel + g * PANEL, zero());
            for (int64_t g = 0; g < granules; g += LANES) {
                F v[LANES];
                for (int i = 0; i < LANES; i++)
                    v[i] = first + i < rows ? load(x + (first + i) * ldx + g) : zero();
                transpose(v);
                for (int i = 0; i < LANES; i++) store(panel + (g + i) * PANEL, v[i]);
            }
        }
    });
}

// Rows [count, dim] of x, `step` numbers apart, as depth; zeros up to `depth`.
template <class T>
void pack_depth(const T* x, int64_t step, int64_t count, int dim, int64_t depth, float* to) {
    for (int d = 0; d < dim; d += PANEL)
        for (int64_t i = 0; i < depth; i++, to += PANEL)
            for (int n = 0; n < PANEL; n += LANES) {
                const int there = i < count ? larger(0, dim - d - n) : 0;
                store(to + n, load(there ? x + i * step + d + n : x, there));
            }
}

#if ENFOLD_BF16
inline void pack_depth(const bf16* x, int64_t step, int64_t count, int dim, int64_t depth,
                       float* to) {
    for (int d = 0; d < dim; d += PANEL) {
        const __mmask16 wide = first(dim - d);
        const auto row = [&](int64_t i) {
            const __mmask16 there = i < count ? wide : 0;
            return (U)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, x + i * step + d));
        };
        for (int64_t i = 0; i < depth; i += 2, to += PANEL)
            store(to, (F)(row(i) | row(i + 1) << 16));  // the first of a pair in the lower half
    }
}
#endif

// c [rows, columns] (+)= a x b, in steps of D.  `lda`: bytes from one row of a to the next; `panel`:
// granules from one panel of b to the next.  columns: a multiple of PANEL.  By tiles, granules are a
// multiple of 16, and a and c have rows up to a multiple of 16, of any content.
template <class D>
void multiply(const void* a, int64_t lda, const float* b, int64_t panel, float* c, int64_t ldc,
              int64_t rows, int64_t columns, int64_t granules, bool more) {
    const auto* from = (const char*)a;
#if ENFOLD_AMX
    if constexpr (tiled<D>()) {
        for (int64_t n = 0; n < columns; n += 32)
            for (int64_t m = 0; m < rows; m += 32) {
                const bool tall = rows - m > 16, wide = columns - n > 16;
                const auto run =
                    tall ? (wide ? by_tiles<D, 2, 2, Nothing> : by_tiles<D, 2, 1, Nothing>)
                         : (wide ? by_tiles<D, 1, 2, Nothing> : by_tiles<D, 1, 1, Nothing>);
                Nothing nothing;
                run(from + m * lda, lda, b + n / PANEL * panel, panel, c + m * ldc + n, ldc,
                    granules, more, nothing, {});
            }
        return;
    }
#endif
    for (int64_t n = 0; n < columns; n += PANEL * PANELS)
        for (int64_t m = 0; m < rows; m += ROWS)
            rows_by_registers<D, ROWS>(int(smaller(rows - m, int64_t(ROWS))),
                                       int(smaller((columns - n) / PANEL, int64_t(PANELS))),
                                       from + m * lda, lda, b + n / PANEL * panel, panel,
                                       c + m * ldc + n, ldc, granules, more);
}

}  // namespace enfold
