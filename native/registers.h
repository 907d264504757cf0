// Products by registers: rows of A times panels of B, both made of granules of 32 bits (a number, a
// pair of bf16 or int16, four bytes).  A granule of A is broadcast; a panel of B holds PANEL columns
// of a granule side by side (see panel.h).
#pragma once

#include "dot.h"

namespace enfold {

constexpr int PANEL = 16;             // columns that are packed together
constexpr int PARTS = PANEL / LANES;  // vectors of a panel's row
constexpr int64_t SOON = 16;          // granules of a panel asked for ahead

#if ENFOLD_AVX512
constexpr int PANELS = 2, ROWS = 12;  // 24 sums of 32 registers
#elif ENFOLD_AVX2
constexpr int PANELS = 1, ROWS = 6;
#else
constexpr int PANELS = 1, ROWS = 3;
#endif

inline F broadcast(const char* granule) {
    float x;
    std::memcpy(&x, granule, 4);
    return all(x);
}

// acc + a * b, of granules in every lane; integers keep their bits in a vector of floats.
inline F apply(Wide<float>, F acc, F a, F b) { return fma(a, b, acc); }
template <class D> F plus(D, F a, F b) { return a + b; }
inline F plus(Bytes, F a, F b) { return (F)((I)a + (I)b); }

#if ENFOLD_BF16
inline F apply(Pairs, F acc, F a, F b) { return _mm512_dpbf16_ps(acc, (__m512bh)b, (__m512bh)a); }
inline F apply(Bytes, F acc, F a, F b) {
    return (F)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)b, (__m512i)a);
}
#elif ENFOLD_AVX512
inline F apply(Bytes, F acc, F a, F b) {
    return (F)((I)acc + (I)_mm512_madd_epi16((__m512i)a, (__m512i)b));
}
#elif ENFOLD_AVX2
inline F apply(Bytes, F acc, F a, F b) {
    return (F)((I)acc + (I)_mm256_madd_epi16((__m256i)a, (__m256i)b));
}
#else
inline F apply(Bytes, F acc, F a, F b) {
    const I x = (I)a, y = (I)b;
    return (F)((I)acc + ((x << 16) >> 16) * ((y << 16) >> 16) + (x >> 16) * (y >> 16));
}
#endif

// c [R, N panels] (+)= a [R, granules] x b, rows of a `lda` bytes apart, panels `panel` granules.
template <class D, int R, int N>
void by_registers(const char* a, int64_t lda, const float* b, int64_t panel, float* c, int64_t ldc,
                  int64_t granules, bool more) {
    F acc[R][N * PARTS];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int j = 0; j < N * PARTS; j++) acc[r][j] = zero();
    for (int64_t g = 0; g < granules; g++) {
        F part[N * PARTS];
#pragma GCC unroll 16
        for (int j = 0; j < N * PARTS; j++) {
            const float* from = b + j / PARTS * panel + g * PANEL + j % PARTS * LANES;
            __builtin_prefetch(from + SOON * PANEL);
            part[j] = load(from);
        }
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            const F each = broadcast(a + r * lda + g * 4);
#pragma GCC unroll 16
            for (int j = 0; j < N * PARTS; j++) acc[r][j] = apply(D(), acc[r][j], each, part[j]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 16
        for (int j = 0; j < N * PARTS; j++) {
            float* to = c + r * ldc + j * LANES;
            store(to, more ? plus(D(), load(to), acc[r][j]) : acc[r][j]);
        }
}

template <class D, int R, class... Rest>
void rows_by_registers(int rows, int panels, Rest... rest) {
    if constexpr (R > 0) {
        if (rows < R) return rows_by_registers<D, R - 1>(rows, panels, rest...);
        if (panels == 1) return by_registers<D, R, 1>(rest...);
        by_registers<D, R, PANELS>(rest...);
    }
}

}  // namespace enfold
