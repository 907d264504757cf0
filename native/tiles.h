// Products of bf16 by tile registers (AMX): 16 rows x 32 of A, 16 pairs x 16 columns of B, 16 x 16
// sums.  Rows of A and C are taken in sixteens: what lies behind the last must be readable and
// writable.
#pragma once

#include "lanes.h"

namespace {

#if defined(ENFOLD_AMX)
struct alignas(64) TileShape {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Tiles for the thread that runs this block.
struct Tiles {
  Tiles() {
    static const TileShape shape{};  // in memory: compilers believe 8 bytes of it are read
    _tile_loadconfig(&shape);
  }
  ~Tiles() { _tile_release(); }
};

// M x N tiles of sums in registers 0 to 3, A in 4 and 5, B in 6 and 7.
template <int M, int N>
inline void tile_block(const bf16* a, int64_t lda, const bf16* b, int64_t panel, float* c,
                       int64_t ldc, int depth, bool add) {
  if (add) {
    _tile_loadd(0, c, ldc * 4);
    if (N > 1) _tile_loadd(1, c + 16, ldc * 4);
    if (M > 1) _tile_loadd(2, c + 16 * ldc, ldc * 4);
    if (M > 1 && N > 1) _tile_loadd(3, c + 16 * ldc + 16, ldc * 4);
  } else {
    _tile_zero(0);
    if (N > 1) _tile_zero(1);
    if (M > 1) _tile_zero(2);
    if (M > 1 && N > 1) _tile_zero(3);
  }
  for (int k = 0; k < depth; k += 32) {
    _tile_loadd(4, a + k, lda * 2);
    _tile_loadd(6, b + k * 16, 64);
    if (N > 1) _tile_loadd(7, b + panel + k * 16, 64);
    _tile_dpbf16ps(0, 4, 6);
    if (N > 1) _tile_dpbf16ps(1, 4, 7);
    if (M > 1) _tile_loadd(5, a + 16 * lda + k, lda * 2);
    if (M > 1) _tile_dpbf16ps(2, 5, 6);
    if (M > 1 && N > 1) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, ldc * 4);
  if (N > 1) _tile_stored(1, c + 16, ldc * 4);
  if (M > 1) _tile_stored(2, c + 16 * ldc, ldc * 4);
  if (M > 1 && N > 1) _tile_stored(3, c + 16 * ldc + 16, ldc * 4);
}

inline void multiply_tiles(const bf16* a, int64_t lda, const bf16* b, int64_t panel, float* c,
                           int64_t ldc, int rows, int columns, int depth, bool add) {
  for (int n = 0; n < columns; n += 32)
    for (int m = 0; m < rows; m += 32) {
      const bf16 *left = a + m * lda, *right = b + n / 16 * panel;
      float* to = c + m * ldc + n;
      bool tall = rows - m > 16, wide = columns - n > 16;
      auto run = tall ? (wide ? tile_block<2, 2> : tile_block<2, 1>)
                      : (wide ? tile_block<1, 2> : tile_block<1, 1>);
      run(left, lda, right, panel, to, ldc, depth, add);
    }
}
#else
struct Tiles {};
#endif

}  // namespace
