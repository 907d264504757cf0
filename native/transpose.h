// Blocks of LANES x LANES 32-bit numbers turned, or summed, in registers.
#pragma once

#include "vec.h"

namespace enfold {

#if ENFOLD_AVX512

inline void transpose(F (&v)[16]) {
    __m512d d[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4) {
        const F a = _mm512_unpacklo_ps(v[i], v[i + 1]), b = _mm512_unpackhi_ps(v[i], v[i + 1]);
        const F c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]);
        const F e = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
        d[i] = _mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(c));
        d[i + 1] = _mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(c));
        d[i + 2] = _mm512_unpacklo_pd(_mm512_castps_pd(b), _mm512_castps_pd(e));
        d[i + 3] = _mm512_unpackhi_pd(_mm512_castps_pd(b), _mm512_castps_pd(e));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        const F a = _mm512_castpd_ps(d[i]), b = _mm512_castpd_ps(d[i + 4]);
        const F c = _mm512_castpd_ps(d[i + 8]), e = _mm512_castpd_ps(d[i + 12]);
        const F ab = _mm512_shuffle_f32x4(a, b, 0x88), ba = _mm512_shuffle_f32x4(a, b, 0xdd);
        const F ce = _mm512_shuffle_f32x4(c, e, 0x88), ec = _mm512_shuffle_f32x4(c, e, 0xdd);
        v[i] = _mm512_shuffle_f32x4(ab, ce, 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(ab, ce, 0xdd);
        v[i + 4] = _mm512_shuffle_f32x4(ba, ec, 0x88);
        v[i + 12] = _mm512_shuffle_f32x4(ba, ec, 0xdd);
    }
}
#else

inline void transpose(F (&v)[LANES]) {
    float each[LANES][LANES], turned[LANES][LANES];
    for (int i = 0; i < LANES; i++) store(each[i], v[i]);
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < LANES; j++) std::memcpy(&turned[j][i], &each[i][j], 4);
    for (int i = 0; i < LANES; i++) v[i] = load((const float*)turned[i]);
}

#endif

// The total of each of LANES vectors.
#if ENFOLD_AVX512
inline F totals(const F* x) {
    F quad[4];
    for (int i = 0; i < 4; i++) {
        const F* y = x + 4 * i;
        const F ab = _mm512_unpacklo_ps(y[0], y[1]) + _mm512_unpackhi_ps(y[0], y[1]);
        const F cd = _mm512_unpacklo_ps(y[2], y[3]) + _mm512_unpackhi_ps(y[2], y[3]);
        quad[i] = _mm512_shuffle_ps(ab, cd, 0x44) + _mm512_shuffle_ps(ab, cd, 0xee);
    }
    const F u =
        _mm512_shuffle_f32x4(quad[0], quad[1], 0x88) + _mm512_shuffle_f32x4(quad[0], quad[1], 0xdd);
    const F v =
        _mm512_shuffle_f32x4(quad[2], quad[3], 0x88) + _mm512_shuffle_f32x4(quad[2], quad[3], 0xdd);
    return _mm512_shuffle_f32x4(u, v, 0x88) + _mm512_shuffle_f32x4(u, v, 0xdd);
}
#elif ENFOLD_AVX2
inline F totals(const F* x) {
    F quad[2];
    for (int i = 0; i < 2; i++) {
        const F* y = x + 4 * i;
        quad[i] = _mm256_hadd_ps(_mm256_hadd_ps(y[0], y[1]), _mm256_hadd_ps(y[2], y[3]));
    }
    return _mm256_permute2f128_ps(quad[0], quad[1], 0x20) +
           _mm256_permute2f128_ps(quad[0], quad[1], 0x31);
}
#else
inline F totals(const F* x) {
    F found = {};
    for (int i = 0; i < LANES; i++) found[i] = total(x[i]);
    return found;
}
#endif

}  // namespace enfold
