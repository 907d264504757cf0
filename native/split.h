// fp32 products by tiles of bf16.  A number of 24 bits is a sum of three of 8, exactly:
//
//     x = x0 + x1 + x2,  |x1| <= 2^-8 |x|,  |x2| <= 2^-16 |x|
//     x y = x0 y0 + x0 y1 + x1 y0 + x0 y2 + x1 y1 + x2 y0, and less than 2^-23 |x y|
//
// Six products of bf16, summed in fp32, are as near as one of fp32, and tiles make sixteen times as
// many.  Numbers below 2e-31 lose their last bits (bf16 has no denormals here); what is not finite,
// or beyond 3.39e38, gives NaN.
#pragma once

#include "tiles.h"
#include "transpose.h"

#if ENFOLD_AMX

namespace enfold {

constexpr int PIECES = 3;
constexpr int64_t DEEP = 32;                  // numbers of depth in a tile
constexpr int64_t PIECE = 16 * DEEP / 2;      // a tile in floats: each is a pair of bf16
constexpr int64_t UNIT = PIECES * PIECE;      // 16 rows, DEEP of depth
constexpr int64_t BLOCK = 32;                 // rows and columns that are multiplied at a time

// A [rows, depth], or B [columns, depth]: `row` and `step` numbers from one to the next, one of
// which is 1.
struct Side {
    const float* at;
    int64_t rows, row, step;
};

// Two numbers, the first in the lower half, as three pairs of bf16.
inline void split(F low, F high, F* out) {
    for (int p = 0; p < PIECES; p++) {
        const uint32_t half = p + 1 < PIECES ? 0x8000 : 0;  // the rest is exact, and NaN stays NaN
        const U a = ((U)low + half) & 0xffff0000, b = ((U)high + half) & 0xffff0000;
        out[p] = (F)(a >> 16 | b);
        low -= (F)a;
        high -= (F)b;
    }
}

// The pairs of 16 rows (or fewer) at `depth`: each row's 16 pairs, or each pair's 16 rows.  A pair
// is what stands DEEP / 2 apart, so that vectors need no sorting.
inline void pairs_of(const Side& x, int64_t row, int64_t depth, int count, F (&to)[PIECES][LANES]) {
    constexpr int APART = DEEP / 2;
    const int rows = int(larger(smaller(x.rows - row, int64_t(LANES)), int64_t(0)));
    const float* from = x.at + row * x.row + depth * x.step;
    for (int i = 0; i < LANES; i++) {
        F low = {}, high = {}, part[PIECES];
        if (x.step == 1) {
            const float* numbers = from + i * x.row;
            if (i < rows) low = load(numbers, count);
            if (i < rows && count > APART) high = load(numbers + APART, count - APART);
        } else {
            const float* numbers = from + i * x.step;
            if (i < count) low = load(numbers, rows);
            if (i + APART < count) high = load(numbers + APART * x.step, rows);
        }
        split(low, high, part);
        for (int p = 0; p < PIECES; p++) to[p][i] = part[p];
    }
}

// Rows as tiles of A (`lines`) or of B, zeros for those that aren't there: sixteens of rows, of which
// each has its depth in units.
template <bool lines>
void pack_split(const Side& x, int64_t row, int64_t rows, int64_t depth, int64_t count, float* to) {
    F tiles[PIECES][LANES];
    for (int64_t r = row; r < row + rows; r += LANES)
        for (int64_t d = 0; d < count; d += DEEP) {
            pairs_of(x, r, depth + d, int(smaller(count - d, DEEP)), tiles);
            for (int p = 0; p < PIECES; p++, to += PIECE) {
                if (lines != (x.step == 1)) transpose(tiles[p]);
                for (int i = 0; i < LANES; i++) store(to + i * LANES, tiles[p][i]);
            }
        }
}

inline void take_rows(const float* a, int64_t next) {
    _tile_loadd(4, a, STEP);
    _tile_loadd(5, a + next, STEP);
}
inline void take_columns(const float* b, int64_t next) {
    _tile_loadd(6, b, STEP);
    _tile_loadd(7, b + next, STEP);
}
inline void add_products() {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

// BLOCK rows and columns, `pitch` numbers from row to row: 0 if they are all the same.
struct Place {
    float* at;
    int64_t pitch;
};

// to = start + a x b, of so many units of depth; start: sums, or nothing.
inline void multiply_split(const float* a, const float* b, int64_t units, Place start, Place to) {
    const int64_t next = units * UNIT;
    if (const float* s = start.at; s) {
        _tile_loadd(0, s, start.pitch * 4);
        _tile_loadd(1, s + LANES, start.pitch * 4);
        _tile_loadd(2, s + LANES * start.pitch, start.pitch * 4);
        _tile_loadd(3, s + LANES * start.pitch + LANES, start.pitch * 4);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t u = 0; u < units; u++, a += UNIT, b += UNIT) {
        take_rows(a, next);
        take_columns(b + 2 * PIECE, next);
        add_products();
        take_columns(b + PIECE, next);
        add_products();
        take_rows(a + PIECE, next);
        add_products();
        take_columns(b, next);
        add_products();
        take_rows(a + 2 * PIECE, next);
        add_products();
        take_rows(a, next);
        add_products();
    }
    float* c = to.at;
    _tile_stored(0, c, to.pitch * 4);
    _tile_stored(1, c + LANES, to.pitch * 4);
    _tile_stored(2, c + LANES * to.pitch, to.pitch * 4);
    _tile_stored(3, c + LANES * to.pitch + LANES, to.pitch * 4);
}

}  // namespace enfold

#endif
