// Vectors of the widest kind that a translation unit is compiled for: V holds W floats.
//
// Everything here has internal linkage: each unit is compiled once per instruction set, and the
// linker must not take one unit's copy for another's.
#pragma once

#include <cmath>
#include <cstring>

#include "api.h"

#if defined(ENFOLD_AVX2)
#include <immintrin.h>
#endif

namespace {

#if defined(ENFOLD_AVX512)
constexpr int W = 16;
#elif defined(ENFOLD_AVX2)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float V __attribute__((vector_size(W * 4)));
typedef int32_t VI __attribute__((vector_size(W * 4)));
typedef uint32_t VU __attribute__((vector_size(W * 4)));
typedef uint16_t VH __attribute__((vector_size(W * 2)));
typedef uint8_t VB __attribute__((vector_size(W)));

struct bf16 {
  uint16_t bits;
};

template <class T> inline T smaller(T a, T b) { return a < b ? a : b; }
template <class T> inline T larger(T a, T b) { return a > b ? a : b; }
inline int64_t rounded(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// ---- one number ---------------------------------------------------------------------------------
inline float value(float x) { return x; }

inline float value(bf16 x) {
  uint32_t bits = uint32_t(x.bits) << 16;
  float found;
  memcpy(&found, &bits, 4);
  return found;
}

inline void put(float* p, float x) { *p = x; }

inline void put(bf16* p, float x) {  // to the nearest, ties to even
  uint32_t bits;
  memcpy(&bits, &x, 4);
  p->bits = x != x ? 0x7fc0 : uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// ---- loads and stores ---------------------------------------------------------------------------
inline V all(float x) { return x - V{}; }  // x + 0 would not be folded: -0 + 0 is 0

inline V fma(V a, V b, V c) {  // a * b + c
#if defined(ENFOLD_AVX512)
  return (V)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(ENFOLD_AVX2)
  return (V)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

inline V load(const float* p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}

// Numbers of 16 bits as words.
inline VU words(const bf16* p) {
#if defined(ENFOLD_AVX512)
  return (VU)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
#elif defined(ENFOLD_AVX2)
  return (VU)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)p));
#else
  VH half;
  memcpy(&half, p, sizeof half);
  return __builtin_convertvector(half, VU);
#endif
}

inline V load(const bf16* p) { return (V)(words(p) << 16); }

inline void store(float* p, V v) { memcpy(p, &v, sizeof v); }

inline void store(bf16* p, V v) {
#if defined(ENFOLD_BF16)
  __m256bh half = _mm512_cvtneps_pbh((__m512)v);
  memcpy(p, &half, sizeof half);
#else
  VU bits = (VU)v;
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  VU odd = (VU)(v != v);
  bits = (bits & ~odd) | (odd & 0x7fc0);
  VH half = __builtin_convertvector(bits, VH);
  memcpy(p, &half, sizeof half);
#endif
}

// The first n of a vector; the rest reads as zero and is not written.
template <class T> inline V load(const T* p, int n) {
  if (n >= W) return load(p);
  T part[W] = {};
  memcpy(part, p, n * sizeof(T));
  return load(part);
}

template <class T> inline void store(T* p, V v, int n) {
  if (n >= W) return store(p, v);
  T part[W];
  store(part, v);
  memcpy(p, part, n * sizeof(T));
}

// ---- across and between lanes -------------------------------------------------------------------
inline V pick(VI mask, V yes, V no) { return (V)((mask & (VI)yes) | (~mask & (VI)no)); }
inline V most(V a, V b) {
#if defined(ENFOLD_AVX512)
  return (V)_mm512_max_ps((__m512)a, (__m512)b);
#else
  return pick(a > b, a, b);
#endif
}

inline float total(V v) {
#if defined(ENFOLD_AVX512)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float found = v[0];
  for (int i = 1; i < W; ++i) found += v[i];
  return found;
#endif
}

inline float highest(V v) {
#if defined(ENFOLD_AVX512)
  return _mm512_reduce_max_ps((__m512)v);
#else
  float found = v[0];
  for (int i = 1; i < W; ++i) found = larger(found, v[i]);
  return found;
#endif
}

inline VI counted() {
  VI v = {};
  for (int i = 0; i < W; ++i) v[i] = i;
  return v;
}

// Which of the first n bytes aren't 0.
inline VI nonzero(const uint8_t* p, int n) {
  VB bytes = {};
  memcpy(&bytes, p, smaller(n, W));
  return __builtin_convertvector(bytes, VI) != 0;
}

// 2^x for x <= 127, to 2e-7, or to 8e-5 if `rough`; below 2^-126, and of -inf, it is 0.
template <bool rough = false> inline V exp2(V x) {
#if defined(ENFOLD_AVX512)
  __m512 bounded = _mm512_max_ps((__m512)x, _mm512_set1_ps(-200.f));
  __m512 whole = _mm512_roundscale_ps(bounded, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  V f = (V)_mm512_sub_ps(bounded, whole);
#else
  const float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to whole numbers
  VI low = x < -126.f;
  V bounded = pick(low, all(-126.f), x);
  V shifted = bounded + magic;
  V f = bounded - (shifted - magic);
#endif
  V p;
  if (rough) {
    p = fma(all(5.508868e-2f), f, all(2.4260405e-1f));
    p = fma(p, f, all(6.9327624e-1f));
    p = fma(p, f, all(9.9992894e-1f));
  } else {
    p = fma(all(1.535336188319500e-4f), f, all(1.339887440266574e-3f));
    p = fma(p, f, all(9.618437357674640e-3f));
    p = fma(p, f, all(5.550332471162809e-2f));
    p = fma(p, f, all(2.402264791363012e-1f));
    p = fma(p, f, all(6.931472028550421e-1f));
    p = fma(p, f, all(1.f));
  }
#if defined(ENFOLD_AVX512)
  return (V)_mm512_scalef_ps((__m512)p, whole);
#else
  return pick(low, V{}, (V)((VI)p + ((VI)shifted << 23)));
#endif
}

constexpr float LOG2E = 1.4426950408889634f;

}  // namespace
