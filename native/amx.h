// Many rows of activations on AMX tiles: 32 rows of weights (two tiles, read where they are) by 32
// rows of activations (two tiles, packed as in tile.h).
#pragma once

#include "tile.h"

#if ENFOLD_AMX

namespace enfold {

constexpr int TALL = 32;         // rows of weights in a panel
constexpr int64_t STEP = 64;     // bytes of a row in a tile

class Tiles {  // the tile unit, set up in this thread
public:
    Tiles() {
        struct alignas(64) {
            uint8_t palette = 1, start = 0, unused[14] = {};
            uint16_t bytes[16] = {};
            uint8_t rows[16] = {};
        } shape;
        for (int i = 0; i < 8; i++) shape.bytes[i] = 64, shape.rows[i] = 16;
        _tile_loadconfig(&shape);
    }
    ~Tiles() { _tile_release(); }
};

// GCC's tile instructions are macros that want plain numbers.
#define ENFOLD_TILE_PRODUCT(C, A, B)                                       \
    if constexpr (std::is_same<W, bf16>::value) _tile_dpbf16ps(C, A, B); \
    else _tile_dpbssd(C, A, B)

// Asks for a stream of bytes, some lines at a step.
struct Ahead {
    const char* from;
    int lines;
    void step() {
        for (int i = 0; i < lines; i++, from += 64) __builtin_prefetch(from, 0, 2);
    }
};

// sums [TALL, WIDE] (+)= w [TALL, steps * 64 bytes] by x [steps * 16, WIDE], both halves of x or one.
template <class W, bool BOTH>
void tiles(const char* w, int64_t stride, const float* x, int64_t steps, float* sums, bool more,
           Ahead& ahead) {
    constexpr int64_t LINE = WIDE * 4;
    float* low = sums + 16 * WIDE;
    if (more) {
        _tile_loadd(0, sums, LINE);
        _tile_loadd(2, low, LINE);
        if (BOTH) {
            _tile_loadd(1, sums + 16, LINE);
            _tile_loadd(3, low + 16, LINE);
        }
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t i = 0; i < steps; i++, w += STEP, x += 16 * WIDE) {
        _tile_loadd(4, w, stride);
        _tile_loadd(6, x, LINE);
        ENFOLD_TILE_PRODUCT(0, 4, 6);
        _tile_loadd(5, w + 16 * stride, stride);
        ENFOLD_TILE_PRODUCT(2, 5, 6);
        if (BOTH) {
            _tile_loadd(7, x + 16, LINE);
            ENFOLD_TILE_PRODUCT(1, 4, 7);
            ENFOLD_TILE_PRODUCT(3, 5, 7);
        }
        ahead.step();
    }
    _tile_stored(0, sums, LINE);
    _tile_stored(2, low, LINE);
    if (BOTH) {
        _tile_stored(1, sums + 16, LINE);
        _tile_stored(3, low + 16, LINE);
    }
}

// A panel of up to TALL rows of one weight, for m rows of activations packed in blocks.
template <class W, class Out>
void amx_panel(const Weight& weight, int64_t row, int rows, const float* x, int64_t granules,
               int64_t m, int64_t k, int64_t first, const Out& out) {
    static thread_local Scratch copies, results;
    const int64_t steps = granules / 16, bytes = k * int64_t(sizeof(W));
    const char* w = static_cast<const char*>(weight.data) + row * weight.stride * int64_t(sizeof(W));
    int64_t stride = weight.stride * int64_t(sizeof(W));
    const int64_t blocks = (m + WIDE - 1) / WIDE;
    Ahead ahead{w + TALL * stride, int((TALL + blocks - 1) / blocks)};
    if (rows < TALL || bytes % STEP) {  // tiles would reach beyond: a copy with zeros around
        char* copied = copies.get<char>(TALL * steps * STEP);
        std::memset(copied, 0, size_t(TALL * steps * STEP));
        for (int r = 0; r < rows; r++) std::memcpy(copied + r * steps * STEP, w + r * stride, size_t(bytes));
        w = copied, stride = steps * STEP;
    }
    auto* sums = results.get<float>(TALL * WIDE);
    const Tiles unit;
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t left = m - b * WIDE;
        const float* block = x + b * granules * WIDE;
        if (left > LANES) tiles<W, true>(w, stride, block, steps, sums, false, ahead);
        else tiles<W, false>(w, stride, block, steps, sums, false, ahead);
        finish(sums, rows, weight, row, first + b * WIDE, int(left < WIDE ? left : WIDE), out);
    }
}

}  // namespace enfold

#endif
