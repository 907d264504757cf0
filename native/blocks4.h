// The inner loops of blocks4.cpp, with AVX512 and without.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>

#include "api.h"

#if defined(ENFOLD_AVX2)
#include <immintrin.h>
#endif

namespace {

constexpr float TINY = 1e-38f;
constexpr int CHUNK = 128;     // numbers of a weight in 64 bytes
constexpr int MOST_ROWS = 2;   // of x at a time
constexpr int AHEAD = 8192;    // bytes of the weight that are asked for in advance

struct Brain { uint16_t bits; };
struct Half { uint16_t bits; };

// ---- one number ---------------------------------------------------------------------------------
inline float as_float(uint32_t bits) {
  float found;
  memcpy(&found, &bits, 4);
  return found;
}

inline uint32_t as_bits(float x) {
  uint32_t found;
  memcpy(&found, &x, 4);
  return found;
}

inline float number(float x) { return x; }
inline float number(Brain x) { return as_float(uint32_t(x.bits) << 16); }
inline float number(Half x) {
#if defined(ENFOLD_AVX2)
  return _cvtsh_ss(x.bits);
#else
  const uint32_t sign = uint32_t(x.bits & 0x8000) << 16, rest = x.bits & 0x7fff;
  if (rest >= 0x7c00) return as_float(sign | 0x7f800000 | (rest & 0x3ff) << 13);
  const float scaled = as_float(rest << 13) * as_float(0x77800000);  // 2^112
  return as_float(as_bits(scaled) | sign);
#endif
}

inline void put(float* p, float x) { *p = x; }
inline void put(Brain* p, float x) {  // to the nearest, ties to even
  const uint32_t bits = as_bits(x);
  p->bits = x != x ? 0x7fc0 : uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline void put(Half* p, float x) {
#if defined(ENFOLD_AVX2)
  p->bits = uint16_t(_cvtss_sh(x, 0));
#else
  const uint32_t bits = as_bits(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
  uint32_t found;
  if (rest >= 0x7f800000) {
    found = rest > 0x7f800000 ? 0x7e00 : 0x7c00;
  } else if (rest >= 0x477ff000) {  // rounds to more than 65,504
    found = 0x7c00;
  } else if (rest < 0x38800000) {  // below the smallest normal number
    found = as_bits(as_float(rest) + 0.5f) - 0x3f000000;
  } else {
    found = (rest + 0xfff + (rest >> 13 & 1) - 0x38000000) >> 13;
  }
  p->bits = uint16_t(sign | found);
#endif
}

// Intervals between ascending bounds and the index of each.
struct Levels {
  float bounds[16];
  int32_t order[16];

  Levels(const float* from, const uint8_t* indices) {
    for (int n = 0; n < 16; n++) {
      bounds[n] = n < 15 ? from[n] : __builtin_inff();
      order[n] = indices[n];
    }
  }
  int index(float x) const {
    int found = 0;
    for (int n = 0; n < 15; n++) found += x > bounds[n];
    return order[found];
  }
};

// The 16 values.
struct Table {
  float values[16];
  uint16_t narrow[32];  // as bf16, twice: five bits choose

  explicit Table(const float* from) {
    for (int n = 0; n < 32; n++) {
      Brain found;
      put(&found, from[n % 16]);
      narrow[n] = found.bits;
      values[n % 16] = from[n % 16];
    }
  }
};

#if defined(ENFOLD_AVX512)
// ---- AVX512 -------------------------------------------------------------------------------------
inline __m512 load16(const float* p) { return _mm512_loadu_ps(p); }
inline __m512 load16(const Brain* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
inline __m512 load16(const Half* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p));
}

inline void store16(float* p, __m512 x) { _mm512_storeu_ps(p, x); }
inline void store16(Brain* p, __m512 x) {
  const __m512i bits = _mm512_castps_si512(x), one = _mm512_set1_epi32(1);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), one);
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  _mm256_storeu_si256((__m256i*)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16)));
}
inline void store16(Half* p, __m512 x) {
  _mm256_storeu_si256((__m256i*)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

// Magnitudes compare as whole numbers, and nan above all of them.
template <class T>
inline float largest(const T* x, int64_t count) {
  const __m512i plain = _mm512_set1_epi32(0x7fffffff);
  __m512i most = _mm512_setzero_si512();
  int64_t n = 0;
  for (; n + 16 <= count; n += 16)
    most = _mm512_max_epi32(most, _mm512_and_si512(_mm512_castps_si512(load16(x + n)), plain));
  uint32_t found = uint32_t(_mm512_reduce_max_epi32(most));
  for (; n < count; n++) {
    const uint32_t bits = as_bits(number(x[n])) & 0x7fffffff;
    found = bits > found ? bits : found;
  }
  return as_float(found);
}

// Search in the 15 bounds: four comparisons.
inline __m512i search(__m512 x, const __m512* steps, __m512i order) {
  __m512i found = _mm512_setzero_si512();
  for (int step = 0; step < 4; step++) {
    const __m512 bound = _mm512_permutexvar_ps(found, steps[step]);
    const __mmask16 above = _mm512_cmp_ps_mask(x, bound, _CMP_GT_OQ);
    found = _mm512_mask_add_epi32(found, above, found, _mm512_set1_epi32(8 >> step));
  }
  return _mm512_permutexvar_epi32(found, order);
}

template <class T>
inline void pack_block(const T* x, int64_t block, float inverse, const Levels& levels,
                       uint8_t* out) {
  __m512 steps[4];  // the bound that lies 8, 4, 2, 1 intervals above
  for (int step = 0; step < 4; step++) {
    float shifted[16];
    for (int n = 0; n < 16; n++) {
      const int place = n + (8 >> step) - 1;
      shifted[n] = levels.bounds[place < 15 ? place : 15];
    }
    steps[step] = _mm512_loadu_ps(shifted);
  }
  const __m512i order = _mm512_loadu_si512(levels.order);
  const __m512 scale = _mm512_set1_ps(inverse);
  for (int64_t n = 0; n < block; n += 16) {
    const __m512i found = search(_mm512_mul_ps(load16(x + n), scale), steps, order);
    const __m512i pairs = _mm512_or_si512(_mm512_slli_epi64(found, 4), _mm512_srli_epi64(found, 32));
    _mm_storel_epi64((__m128i*)(out + n / 2), _mm512_cvtepi64_epi8(pairs));
  }
}

template <class T>
inline void unpack_block(const uint8_t* packed, int64_t count, float scale, const float* values,
                         T* out) {
  const __m512 table = _mm512_loadu_ps(values), times = _mm512_set1_ps(scale);
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  int64_t n = 0;
  for (; n + 32 <= count; n += 32) {
    const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(packed + n / 2)));
    const __m512 first = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
    const __m512 second = _mm512_permutexvar_ps(bytes, table);
    store16(out + n, _mm512_mul_ps(_mm512_permutex2var_ps(first, low, second), times));
    store16(out + n + 16, _mm512_mul_ps(_mm512_permutex2var_ps(first, high, second), times));
  }
  for (; n < count; n++) put(out + n, values[packed[n / 2] >> (n % 2 ? 0 : 4) & 15] * scale);
}

// Rows of x in the order in which the numbers of a weight come out of its bytes.
//
// fp32: of a chunk, vector s holds the numbers 8 lane + (s ^ 1), those of bits 4 s of each 32.
// bf16: vector s holds 4 lane + (s ^ 1), those of bits 4 s of each 16.
struct Arranged {
  int64_t chunks, stride;  // vectors of 64 bytes per row
  bool narrow;
  std::unique_ptr<uint8_t[]> room;
  const uint8_t* vectors;

  template <class T>
  Arranged(const T* x, int64_t rows, int64_t inputs, bool bf16) : narrow(bf16) {
#if !defined(ENFOLD_BF16)
    narrow = false;
#endif
    chunks = (inputs + CHUNK - 1) / CHUNK;
    stride = chunks * (narrow ? 4 : 8);
    room.reset(new uint8_t[size_t(rows * stride * 64 + 64)]);
    uint8_t* start = room.get() + (64 - (uintptr_t(room.get()) & 63)) % 64;
    vectors = start;
    for (int64_t row = 0; row < rows; row++)
      for (int64_t c = 0; c < chunks; c++)
        fill(x + row * inputs + c * CHUNK, inputs - c * CHUNK,
             start + (row * stride + c * (narrow ? 4 : 8)) * 64);
  }

  template <class T>
  void fill(const T* x, int64_t left, uint8_t* to) const {
    const int per = narrow ? 4 : 8, lanes = CHUNK / per;
    for (int s = 0; s < per; s++)
      for (int lane = 0; lane < lanes; lane++) {
        const int n = lane * per + (s ^ 1);
        const float found = n < left ? number(x[n]) : 0.0f;
        if (narrow)
          put((Brain*)to + s * lanes + lane, found);
        else
          put((float*)to + s * lanes + lane, found);
      }
  }

  const uint8_t* at(int64_t row) const { return vectors + row * stride * 64; }
};

// Of the 16 sums of a chunk the first eight belong to its first 64 numbers, the others to the rest.
// PAIRS: blocks are of 64, so that each half has a scale of its own.
template <bool PAIRS>
inline __m512 scale_of(const float* scales, __mmask16 second) {
  const __m512 first = _mm512_set1_ps(scales[0]);
  if (!PAIRS) return first;
  return _mm512_mask_broadcastss_ps(first, second, _mm_load_ss(scales + 1));
}

inline __mmask16 upper_half() {
  __mmask16 mask = 0xff00;
  __asm__("" : "+Yk"(mask));  // keeps it in its register
  return mask;
}

struct Wide {  // fp32: eight vectors of x for a chunk
  static constexpr int STEP = 8;
  __m512 table;

  explicit Wide(const Table& values) : table(_mm512_loadu_ps(values.values)) {}
  __m512 product(__m512i bytes, const uint8_t* x) const {
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int s = 0; s < 8; s += 2) {
      const __m512 first = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4 * s), table);
      const __m512 second = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4 * s + 4), table);
      even = _mm512_fmadd_ps(first, _mm512_load_ps((const float*)(x + s * 64)), even);
      odd = _mm512_fmadd_ps(second, _mm512_load_ps((const float*)(x + s * 64 + 64)), odd);
    }
    return _mm512_add_ps(even, odd);
  }
};

#if defined(ENFOLD_BF16)
struct Narrow {  // bf16: four vectors of x for a chunk
  static constexpr int STEP = 4;
  __m512i table;

  explicit Narrow(const Table& values) : table(_mm512_loadu_si512(values.narrow)) {}
  __m512 product(__m512i bytes, const uint8_t* x) const {
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int s = 0; s < 4; s += 2) {
      const __m512i first = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4 * s), table);
      const __m512i second = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4 * s + 4), table);
      even = _mm512_dpbf16_ps(even, (__m512bh)first, (__m512bh)_mm512_load_si512(x + s * 64));
      odd = _mm512_dpbf16_ps(odd, (__m512bh)second, (__m512bh)_mm512_load_si512(x + s * 64 + 64));
    }
    return _mm512_add_ps(even, odd);
  }
};
#else
using Narrow = Wide;
#endif

template <class Way, int M, bool PAIRS>
inline void row_products(const Arranged& x, int64_t row, const uint8_t* packed, int64_t inputs,
                         int shift, const float* scales, const Table& values, float* sums) {
  const Way way(values);
  const __mmask16 second = upper_half();
  const int64_t chunks = inputs / CHUNK, apart = x.stride * 64;
  const uint8_t* given = x.at(row);
  __m512 total[M];
  for (auto& each : total) each = _mm512_setzero_ps();
  for (int64_t c = 0; c < chunks; c++, packed += 64, given += Way::STEP * 64) {
    const __m512i bytes = _mm512_loadu_si512(packed);
    _mm_prefetch((const char*)(packed + AHEAD), _MM_HINT_T0);
    const __m512 scale = scale_of<PAIRS>(scales + (PAIRS ? 2 * c : c * CHUNK >> shift), second);
    for (int m = 0; m < M; m++)
      total[m] = _mm512_fmadd_ps(way.product(bytes, given + m * apart), scale, total[m]);
  }
  if (inputs % CHUNK) {  // 64 more
    const __m512i bytes = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i*)packed));
    const __m512 scale = _mm512_set1_ps(scales[chunks * CHUNK >> shift]);
    for (int m = 0; m < M; m++)
      total[m] = _mm512_fmadd_ps(way.product(bytes, given + m * apart), scale, total[m]);
  }
  for (int m = 0; m < M; m++) sums[m] = _mm512_reduce_add_ps(total[m]);
}

template <int M>
inline void some_products(const Arranged& x, int64_t row, const uint8_t* packed, int64_t inputs,
                          int64_t block, const float* scales, const Table& values, float* sums) {
  const int shift = __builtin_ctzll(uint64_t(block));
  const bool pairs = block == 64;
  if (x.narrow && pairs)
    return row_products<Narrow, M, true>(x, row, packed, inputs, shift, scales, values, sums);
  if (x.narrow)
    return row_products<Narrow, M, false>(x, row, packed, inputs, shift, scales, values, sums);
  if (pairs)
    return row_products<Wide, M, true>(x, row, packed, inputs, shift, scales, values, sums);
  row_products<Wide, M, false>(x, row, packed, inputs, shift, scales, values, sums);
}

// sums [m]: rows [row, row + height) of x times one row of the weight.
inline void products(const Arranged& x, int64_t row, int height, const uint8_t* packed,
                     int64_t inputs, int64_t block, const float* scales, const Table& values,
                     float* sums) {
  if (height == 2)
    return some_products<2>(x, row, packed, inputs, block, scales, values, sums);
  some_products<1>(x, row, packed, inputs, block, scales, values, sums);
}

#else
// ---- without AVX512 -----------------------------------------------------------------------------
template <class T>
inline float largest(const T* x, int64_t count) {
  uint32_t found = 0;
  for (int64_t n = 0; n < count; n++) {
    const uint32_t bits = as_bits(number(x[n])) & 0x7fffffff;
    found = bits > found ? bits : found;
  }
  return as_float(found);
}

template <class T>
inline void pack_block(const T* x, int64_t block, float inverse, const Levels& levels,
                       uint8_t* out) {
  for (int64_t n = 0; n < block; n += 32) {
    float unit[32];
    int32_t found[32] = {};
    for (int k = 0; k < 32; k++) unit[k] = number(x[n + k]) * inverse;
    for (int b = 0; b < 15; b++)
      for (int k = 0; k < 32; k++) found[k] += unit[k] > levels.bounds[b];
    for (int k = 0; k < 32; k += 2)
      out[(n + k) / 2] = uint8_t(levels.order[found[k]] << 4 | levels.order[found[k + 1]]);
  }
}

template <class T>
inline void unpack_block(const uint8_t* packed, int64_t count, float scale, const float* values,
                         T* out) {
  float scaled[16];
  for (int n = 0; n < 16; n++) scaled[n] = values[n] * scale;
  for (int64_t n = 0; n < count; n++)
    put(out + n, scaled[packed[n / 2] >> (n % 2 ? 0 : 4) & 15]);
}

// x as fp32.
struct Arranged {
  int64_t inputs;
  std::unique_ptr<float[]> numbers;

  template <class T>
  Arranged(const T* x, int64_t rows, int64_t width, bool) : inputs(width) {
    numbers.reset(new float[size_t(rows * width)]);
    for (int64_t n = 0; n < rows * width; n++) numbers[n] = number(x[n]);
  }
  const float* at(int64_t row) const { return numbers.get() + row * inputs; }
};

inline void products(const Arranged& x, int64_t row, int height, const uint8_t* packed,
                     int64_t inputs, int64_t block, const float* scales, const Table& values,
                     float* sums) {
  constexpr int STEP = 64;
  for (int m = 0; m < height; m++) sums[m] = 0.0f;
  float part[STEP];
  for (int64_t n = 0; n < inputs; n += STEP) {
    unpack_block(packed + n / 2, STEP, scales[n / block], values.values, part);
    for (int m = 0; m < height; m++) {
      const float* given = x.at(row + m) + n;
      float sum[16] = {};
      for (int k = 0; k < STEP; k += 16)
        for (int lane = 0; lane < 16; lane++) sum[lane] += part[k + lane] * given[k + lane];
      for (int lane = 0; lane < 16; lane++) sums[m] += sum[lane];
    }
  }
}
#endif

}  // namespace
