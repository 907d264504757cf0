// Small matrix products for attention: C [M, N] (+)= A [M, depth] x B, in fp32.
//
// B is packed in panels of 16 columns.  fp32: depth x 16 numbers.  bf16: depth / 2 x 16 pairs, a
// pair being two numbers that follow each other in depth: what a tile register multiplies with, and
// what the dot product of pairs takes.
//
//     pack_columns   rows of a matrix become columns of B (keys, for scores)
//     pack_depth     rows of a matrix become depth (values, for mixing)
//     multiply       C (+)= A x panels; depth a multiple of 32 for bf16
#pragma once

#include "tiles.h"
#include "lanes.h"

namespace {

constexpr int PANEL = 16;

// ---- packing ------------------------------------------------------------------------------------
// A block of 16 x 16 words, turned; `rows` of them are there, the others are zero.
inline void turn(const uint32_t* from, int64_t step, int rows, uint32_t* to) {
#if defined(ENFOLD_AVX512)
  __m512i r[16], t[16];
  for (int i = 0; i < 16; ++i)
    r[i] = i < rows ? _mm512_loadu_si512(from + i * step) : _mm512_setzero_si512();
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {  // r[i + 4 j]: words i, i + 4, .. of rows 4 j to 4 j + 3
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    _mm512_storeu_si512(to + 16 * i, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_si512(to + 16 * (i + 8), _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    _mm512_storeu_si512(to + 16 * (i + 4), _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_si512(to + 16 * (i + 12), _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
  }
#else
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) to[j * 16 + i] = i < rows ? from[i * step + j] : 0;
#endif
}

// A row of n numbers in a buffer of `width`, zeros behind it.
template <class T> inline void padded(const T* from, int n, T* to, int width) {
  memcpy(to, from, n * sizeof(T));
  memset((void*)(to + n), 0, (width - n) * sizeof(T));
}

// The words of rows [count, dim] (fp32: a number, bf16: two), turned; depth: dim, filled up.
template <class T>
void pack_columns(const T* from, int64_t step, int count, int dim, int depth, T* to) {
  constexpr int PER = 4 / sizeof(T), WIDE = 16 * PER;
  T row[16 * WIDE];
  for (int first = 0; first < count; first += PANEL) {
    int rows = smaller(PANEL, count - first);
    for (int d = 0; d < depth; d += WIDE) {
      const T* block = from + first * step + d;
      bool whole = dim - d >= WIDE && step % PER == 0;
      if (!whole)
        for (int i = 0; i < rows; ++i)
          padded(block + i * step, larger(0, smaller(WIDE, dim - d)), row + i * WIDE, WIDE);
      T* out = to + int64_t(first) * depth + d * PANEL;
      turn((const uint32_t*)(whole ? block : row), (whole ? step : WIDE) / PER, rows,
           (uint32_t*)out);
    }
  }
}

inline void pack_depth(const float* from, int64_t step, int count, int dim, int depth, float* to) {
  for (int d = 0; d < dim; d += PANEL, to += int64_t(depth) * PANEL)
    for (int i = 0; i < depth; ++i)
      padded(from + i * step + d, i < count ? smaller(PANEL, dim - d) : 0, to + i * PANEL, PANEL);
}

inline void pack_depth(const bf16* from, int64_t step, int count, int dim, int depth, bf16* to) {
  bf16 zero[PANEL] = {}, row[2][PANEL];
  for (int d = 0; d < dim; d += PANEL) {
    int wide = smaller(PANEL, dim - d);
    for (int i = 0; i < depth; i += 2, to += 2 * PANEL) {
      const bf16* source[2] = {zero, zero};
      for (int j = 0; j < 2 && i + j < count; ++j) {
        source[j] = from + (i + j) * step + d;
        if (wide < PANEL) {
          padded(source[j], wide, row[j], PANEL);
          source[j] = row[j];
        }
      }
      for (int n = 0; n < PANEL; n += W) {  // the first of a pair is the lower half of a word
        VU both = words(source[0] + n) | words(source[1] + n) << 16;
        memcpy((void*)(to + 2 * n), &both, sizeof both);
      }
    }
  }
}

// ---- products by registers ----------------------------------------------------------------------
#if defined(ENFOLD_AVX512)
constexpr int PANELS = 2, ROWS = 12;  // 24 sums of 32 registers
#elif defined(ENFOLD_AVX2)
constexpr int PANELS = 1, ROWS = 6;
#else
constexpr int PANELS = 1, ROWS = 2;
#endif
constexpr int PARTS = PANEL / W;  // vectors of a panel's row

// R rows of A times N panels, `panel` numbers apart.
template <int R, int N>
inline void block(const float* a, int64_t lda, const float* b, int64_t panel, float* c, int64_t ldc,
                  int depth, bool add) {
  V sum[R][N * PARTS] = {};
  for (int k = 0; k < depth; ++k) {
    V part[N * PARTS];
#pragma GCC unroll 16
    for (int j = 0; j < N * PARTS; ++j)
      part[j] = load(b + j / PARTS * panel + k * PANEL + j % PARTS * W);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < N * PARTS; ++j) sum[i][j] = fma(all(a[i * lda + k]), part[j], sum[i][j]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < N * PARTS; ++j) {
      float* to = c + i * ldc + j * W;
      store(to, add ? load(to) + sum[i][j] : sum[i][j]);
    }
}

#if defined(ENFOLD_BF16)
template <int R, int N>
inline void block(const bf16* a, int64_t lda, const bf16* b, int64_t panel, float* c, int64_t ldc,
                  int depth, bool add) {
  __m512 sum[R][N] = {};
  for (int k = 0; k < depth; k += 2) {
    __m512i part[N];
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) part[j] = _mm512_loadu_si512(b + j * panel + k * PANEL);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      int pair;
      memcpy(&pair, a + i * lda + k, 4);
      __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 16
      for (int j = 0; j < N; ++j) sum[i][j] = _mm512_dpbf16_ps(sum[i][j], both, (__m512bh)part[j]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j) {
      float* to = c + i * ldc + j * PANEL;
      store(to, add ? load(to) + (V)sum[i][j] : (V)sum[i][j]);
    }
}
#else
// Without products of pairs: each row of A and of B in fp32.
template <int R, int N>
inline void block(const bf16* a, int64_t lda, const bf16* b, int64_t panel, float* c, int64_t ldc,
                  int depth, bool add) {
  float left[R * 32], right[N * 32 * PANEL];
  for (int k = 0; k < depth; k += 32) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
      for (int d = 0; d < 32; ++d) left[i * 32 + d] = value(a[i * lda + k + d]);
#pragma GCC unroll 16
    for (int j = 0; j < N; ++j)
      for (int d = 0; d < 32; ++d)
        for (int n = 0; n < PANEL; ++n)
          right[(j * 32 + d) * PANEL + n] =
              value(b[j * panel + (k + d / 2 * 2) * PANEL + 2 * n + d % 2]);
    block<R, N>(left, 32, right, 32 * PANEL, c, ldc, 32, add || k);
  }
}
#endif

template <int R, class T, class... Rest> inline void rows_of(int rows, int panels, Rest... rest) {
  if constexpr (R > 0) {
    if (rows < R) return rows_of<R - 1, T>(rows, panels, rest...);
    if (panels == 1) return block<R, 1>(rest...);
    block<R, PANELS>(rest...);
  }
}

template <class T>
void multiply(const T* a, int64_t lda, const T* b, int64_t panel, float* c, int64_t ldc, int rows,
              int columns, int depth, bool add) {
#if defined(ENFOLD_AMX)
  if constexpr (sizeof(T) == 2)
    return multiply_tiles(a, lda, b, panel, c, ldc, rows, columns, depth, add);
#endif
  for (int n = 0; n < columns; n += PANEL * PANELS)
    for (int m = 0; m < rows; m += ROWS)
      rows_of<ROWS, T>(smaller(rows - m, ROWS), smaller(PANELS, (columns - n) / PANEL), a + m * lda,
                       lda, b + n / PANEL * panel, panel, c + m * ldc + n, ldc, depth, add);
}

}  // namespace
