// Vectors of fp32 numbers, LANES at a time: operators work on them, and the functions below, under
// the same names at every level.  `base` is plain C++ that compilers turn into SSE2 or NEON.
#pragma once

#include <cmath>

#include "numbers.h"

namespace enfold {

#if ENFOLD_AVX512
constexpr int LANES = 16;
using F = __m512;
#elif ENFOLD_AVX2
constexpr int LANES = 8;
using F = __m256;
#else
constexpr int LANES = 4;
typedef float F __attribute__((vector_size(16)));
#endif
typedef int32_t I __attribute__((vector_size(LANES * 4)));  // what F is compared to, and bits
typedef uint32_t U __attribute__((vector_size(LANES * 4)));

inline F zero() { return F{}; }
inline F from_integers(F bits) { return __builtin_convertvector((I)bits, F); }
inline F pick(I mask, F yes, F no) { return (F)((mask & (I)yes) | (~mask & (I)no)); }
inline I counted() {
    I v = {};
    for (int i = 0; i < LANES; i++) v[i] = i;
    return v;
}

// ---- fp32, and what is done at once -------------------------------------------------------------
inline F load(const float* x) {
    F y;
    std::memcpy(&y, x, sizeof y);
    return y;
}
inline void store(float* y, F x) { std::memcpy(y, &x, sizeof x); }

#if ENFOLD_AVX512

inline F all(float x) { return _mm512_set1_ps(x); }
inline __mmask16 first(int count) { return count >= 16 ? 0xffff : __mmask16((1u << count) - 1); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }  // a * b + c
inline F larger(F a, F b) { return _mm512_max_ps(a, b); }
inline F absolute(F x) { return _mm512_abs_ps(x); }
inline float highest(F x) { return _mm512_reduce_max_ps(x); }
inline float total(F x) { return _mm512_reduce_add_ps(x); }

#elif ENFOLD_AVX2

inline F all(float x) { return _mm256_set1_ps(x); }
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F larger(F a, F b) { return _mm256_max_ps(a, b); }
inline F absolute(F x) { return _mm256_andnot_ps(all(-0.0f), x); }
inline float total(F x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

#else

inline F all(float x) { return F{x, x, x, x}; }
inline F fma(F a, F b, F c) { return a * b + c; }
inline F larger(F a, F b) { return pick(a > b, a, b); }
inline F absolute(F x) { return larger(x, -x); }
inline float total(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }

#endif

#if !ENFOLD_AVX512
inline float highest(F x) {
    float found = x[0];
    for (int i = 1; i < LANES; i++) found = larger(found, float(x[i]));
    return found;
}
#endif

// ---- 16 bits: `widen` and `narrow` are a vector's worth of them in a register -------------------
#if ENFOLD_AVX512

inline F widen(__m256i x, bf16*) { return (F)_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16); }
inline F widen(__m256i x, f16*) { return _mm512_cvtph_ps(x); }
template <class T> F load(const T* x) {
    return widen(_mm256_loadu_si256((const __m256i*)x), (T*)0);
}
inline __m256i narrow(F x, f16*) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }
inline __m512i rounded(F x) {  // numbers to bf16, denormals too, in words
    const __m512i bits = _mm512_castps_si512(x), one = _mm512_set1_epi32(1);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
    const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    return _mm512_srli_epi32(up, 16);
}
inline __m256i narrow(F x, bf16*) {
#if ENFOLD_BF16
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_mask_mov_epi32(rounded(x), nan, _mm512_set1_epi32(0x7fc0)));
#endif
}
template <class T> void store(T* y, F x) { _mm256_storeu_si256((__m256i*)y, narrow(x, y)); }

#elif ENFOLD_AVX2

inline F load(const bf16* x) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)x));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline F load(const f16* x) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)x)); }
inline void store(f16* y, F x) {
    _mm_storeu_si128((__m128i*)y, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

#else

template <class T> F load(const T* x) {
    return F{to_float(x[0]), to_float(x[1]), to_float(x[2]), to_float(x[3])};
}
inline void store(f16* y, F x) {
    for (int i = 0; i < LANES; i++) from_float(y + i, x[i]);
}

#endif

#if !ENFOLD_AVX512
inline void store(bf16* y, F x) {
    typedef uint16_t H __attribute__((vector_size(LANES * 2)));
    const U bits = (U)x, up = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, odd = (U)(x != x);
    const H half = __builtin_convertvector((up & ~odd) | (odd & 0x7fc0), H);
    std::memcpy((void*)y, &half, sizeof half);
}
#endif

// ---- the first `count` of a vector: the rest reads as zero and is not written -------------------
#if ENFOLD_AVX512

inline F load(const float* x, int count) { return _mm512_maskz_loadu_ps(first(count), x); }
template <class T> F load(const T* x, int count) {
    return widen(_mm256_maskz_loadu_epi16(first(count), x), (T*)0);
}
inline void store(float* y, F x, int count) { _mm512_mask_storeu_ps(y, first(count), x); }
template <class T> void store(T* y, F x, int count) {
    _mm256_mask_storeu_epi16(y, first(count), narrow(x, y));
}
inline I nonzero(const uint8_t* x, int count) {  // which of the first bytes aren't 0
    const __m128i bytes = _mm_maskz_loadu_epi8(first(count), x);
    return (I)_mm512_movm_epi32(_mm_test_epi8_mask(bytes, bytes));
}

#else

template <class T> F load(const T* x, int count) {
    if (count >= LANES) return load(x);
    T each[LANES] = {};
    std::memcpy((void*)each, x, sizeof(T) * count);
    return load((const T*)each);
}
template <class T> void store(T* y, F x, int count) {
    if (count >= LANES) return store(y, x);
    T each[LANES];
    store(each, x);
    std::memcpy((void*)y, each, sizeof(T) * count);
}
inline I nonzero(const uint8_t* x, int count) {
    typedef uint8_t B __attribute__((vector_size(LANES)));
    B bytes = {};
    std::memcpy(&bytes, x, smaller(count, LANES));
    return __builtin_convertvector(bytes, I) != 0;
}

#endif

}  // namespace enfold
