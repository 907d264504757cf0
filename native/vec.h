// Vectors of fp32 numbers, LANES at a time, and conversions from and to bf16 and fp16.
// The same names at every level; `base` is plain C++ that compilers turn into SSE2 or NEON.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "api.h"

#if ENFOLD_AVX2
#include <immintrin.h>
#endif

namespace enfold {

struct bf16 { uint16_t bits; };
struct f16 { uint16_t bits; };

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) {
    const uint32_t bits = uint32_t(x.bits) << 16;
    float y;
    std::memcpy(&y, &bits, 4);
    return y;
}
inline float to_float(f16 x) {
    const uint32_t sign = uint32_t(x.bits & 0x8000) << 16, rest = x.bits & 0x7fff;
    uint32_t bits;
    if (rest < 0x0400) {  // zero and denormals: exact in fp32
        const float y = float(rest) * 0x1p-24f;
        std::memcpy(&bits, &y, 4);
    } else {
        bits = (rest << 13) + (rest < 0x7c00 ? 112u << 23 : 224u << 23);
    }
    bits |= sign;
    float y;
    std::memcpy(&y, &bits, 4);
    return y;
}

inline void from_float(float* y, float x) { *y = x; }
inline void from_float(bf16* y, float x) {  // to nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) y->bits = uint16_t((bits >> 16) | 0x40);
    else y->bits = uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline void from_float(f16* y, float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const uint32_t sign = (bits >> 16) & 0x8000, rest = bits & 0x7fffffff;
    uint32_t half;
    if (rest > 0x7f800000) half = 0x7e00;
    else if (rest >= 0x477ff000) half = 0x7c00;  // rounds to infinity
    else if (rest < 0x38800000) {                // a denormal: count in units of 2^-24
        float size;
        std::memcpy(&size, &rest, 4);
        size += 0.5f;  // units of 2^-24 in the low bits of the sum, rounded to even
        std::memcpy(&half, &size, 4);
        half -= 0x3f000000;
    } else half = (rest - (112u << 23) + 0xfff + ((rest >> 13) & 1)) >> 13;
    y->bits = uint16_t(sign | half);
}

#if ENFOLD_AVX512

#define ENFOLD_ROWS 12
constexpr int LANES = 16;
using F = __m512;
inline __mmask16 first(int count) { return count >= 16 ? 0xffff : __mmask16((1u << count) - 1); }
inline F zero() { return _mm512_setzero_ps(); }
inline F set1(float x) { return _mm512_set1_ps(x); }
inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F divide(F a, F b) { return _mm512_div_ps(a, b); }
inline F larger(F a, F b) { return _mm512_max_ps(a, b); }
inline F absolute(F x) { return _mm512_abs_ps(x); }
inline float largest(F x) { return _mm512_reduce_max_ps(x); }
inline float sum(F x) { return _mm512_reduce_add_ps(x); }
inline F widen(__m256i x, bf16*) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
inline F widen(__m256i x, f16*) { return _mm512_cvtph_ps(x); }
inline F load(const float* x) { return _mm512_loadu_ps(x); }
inline F load(const float* x, int count) { return _mm512_maskz_loadu_ps(first(count), x); }
template <class T> F load(const T* x) {
    return widen(_mm256_loadu_si256((const __m256i*)x), (T*)0);
}
template <class T> F load(const T* x, int count) {
    return widen(_mm256_maskz_loadu_epi16(first(count), x), (T*)0);
}
inline __m256i narrow(F x, f16*) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
inline __m256i narrow(F x, bf16*) {
#if ENFOLD_BF16
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    const __m512i bits = _mm512_castps_si512(x), one = _mm512_set1_epi32(1);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    up = _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16));
#endif
}
inline void store(float* y, F x) { _mm512_storeu_ps(y, x); }
inline void store(float* y, F x, int count) { _mm512_mask_storeu_ps(y, first(count), x); }
template <class T> void store(T* y, F x) { _mm256_storeu_si256((__m256i*)y, narrow(x, y)); }
template <class T> void store(T* y, F x, int count) {
    _mm256_mask_storeu_epi16(y, first(count), narrow(x, y));
}

#else  // AVX2 and base: tails go through a buffer

#if ENFOLD_AVX2
#define ENFOLD_ROWS 6
constexpr int LANES = 8;
using F = __m256;
inline F zero() { return _mm256_setzero_ps(); }
inline F set1(float x) { return _mm256_set1_ps(x); }
inline F add(F a, F b) { return _mm256_add_ps(a, b); }
inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F divide(F a, F b) { return _mm256_div_ps(a, b); }
inline F larger(F a, F b) { return _mm256_max_ps(a, b); }
inline F absolute(F x) { return _mm256_andnot_ps(set1(-0.0f), x); }
inline float sum(F x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
inline F load(const float* x) { return _mm256_loadu_ps(x); }
inline F load(const bf16* x) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)x));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline F load(const f16* x) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)x)); }
inline void store(float* y, F x) { _mm256_storeu_ps(y, x); }
inline void store(f16* y, F x) {
    _mm_storeu_si128((__m128i*)y, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
inline void store(bf16* y, F x) {
    float each[LANES];
    _mm256_storeu_ps(each, x);
    for (int i = 0; i < LANES; i++) from_float(y + i, each[i]);
}
#else
#define ENFOLD_ROWS 6
constexpr int LANES = 4;
typedef float F __attribute__((vector_size(16)));
inline F zero() { return F{0, 0, 0, 0}; }
inline F set1(float x) { return F{x, x, x, x}; }
inline F add(F a, F b) { return a + b; }
inline F mul(F a, F b) { return a * b; }
inline F fma(F a, F b, F c) { return a * b + c; }
inline F divide(F a, F b) { return a / b; }
inline F larger(F a, F b) {
    for (int i = 0; i < LANES; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
}
inline F absolute(F x) { return larger(x, -x); }
inline float sum(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
inline F load(const float* x) {
    F y;
    std::memcpy(&y, x, 16);
    return y;
}
template <class T> F load(const T* x) {
    return F{to_float(x[0]), to_float(x[1]), to_float(x[2]), to_float(x[3])};
}
inline void store(float* y, F x) { std::memcpy(y, &x, 16); }
template <class T> void store(T* y, F x) {
    for (int i = 0; i < LANES; i++) from_float(y + i, x[i]);
}
#endif

inline float largest(F x) {
    float each[LANES];
    store(each, x);
    for (int i = 1; i < LANES; i++) each[0] = each[0] > each[i] ? each[0] : each[i];
    return each[0];
}
template <class T> F load(const T* x, int count) {
    T each[LANES] = {};
    std::memcpy((void*)each, x, sizeof(T) * (count < LANES ? count : LANES));
    return load((const T*)each);
}
template <class T> void store(T* y, F x, int count) {
    T each[LANES];
    store(each, x);
    std::memcpy((void*)y, each, sizeof(T) * (count < LANES ? count : LANES));
}

#endif

inline int64_t round_up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

}  // namespace enfold
