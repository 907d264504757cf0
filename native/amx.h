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
        // static: compilers believe that only its first bytes are read
        alignas(64) static const uint8_t shape[64] = {
            1,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0,   // palette 1
            64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0, 64, 0,   // bytes of a row, 8 tiles
            0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0, 0,  0,
            16, 16, 16, 16, 16, 16, 16, 16};                          // rows
        _tile_loadconfig(shape);
    }
    ~Tiles() { _tile_release(); }
};

// GCC's tile instructions are macros that want plain numbers.
#define ENFOLD_TILE_PRODUCT(C, A, B)                                       \
    if constexpr (std::is_same<W, bf16>::value) _tile_dpbf16ps(C, A, B); \
    else _tile_dpbssd(C, A, B)

// Lines of the weights that come next, asked for some at a step.
struct Ahead {
    const char* from;
    int64_t stride, lines, total;  // lines of a row, and of all rows
    int some;
    int64_t next = 0;
    void step() {
        for (int i = 0; i < some && next < total; i++, next++)
            __builtin_prefetch(from + next / lines * stride + next % lines * 64, 0, 2);
    }
};

// sums [TALL, WIDE] (+)= w [TALL, steps * 64 bytes] by x [steps * 16, WIDE], one half of x or both.
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

constexpr int64_t FAR = 64;  // steps (of 64 bytes of a row) between sums put away and taken up

// Rows of weights that each block of x is multiplied with before the next: few while weights come
// from memory, so that the next are asked for in time; many when there is much to do with each.
inline int64_t tallest(int64_t m) { return m <= 4 * WIDE ? TALL : 8 * TALL; }

// Up to `tallest` rows of one weight, for m rows of activations packed in blocks.
template <class W, class Out>
void amx_group(const Weight& weight, int64_t row, int64_t rows, const float* x, int64_t granules,
               int64_t m, int64_t k, int64_t first, const Out& out) {
    static thread_local Scratch copies, results;
    const int64_t steps = granules / 16, bytes = k * int64_t(sizeof(W));
    int64_t stride = weight.stride * int64_t(sizeof(W));
    const char* w = static_cast<const char*>(weight.data) + row * stride;
    const int64_t blocks = (m + WIDE - 1) / WIDE, tall = round_up(rows, TALL);
    const char* after = w + rows * stride;
    if (rows < tall || bytes % STEP) {  // tiles would reach beyond: a copy with zeros around
        char* copied = copies.get<char>(tall * steps * STEP);
        std::memset(copied, 0, size_t(tall * steps * STEP));
        for (int64_t r = 0; r < rows; r++)
            std::memcpy(copied + r * steps * STEP, w + r * stride, size_t(bytes));
        w = copied, stride = steps * STEP, after = w;
    }
    auto* sums = results.get<float>(blocks * tall * WIDE);
    const Tiles unit;
    for (int64_t i = 0; i < steps; i += FAR) {
        const int64_t some = steps - i < FAR ? steps - i : FAR;
        const int64_t left = steps - i - some, ahead_of = left ? left : steps;
        const int64_t next = ahead_of < FAR ? ahead_of : FAR;
        Ahead ahead{left ? w + (i + some) * STEP : after, stride, next, next * tall,
                    int((next * TALL + blocks * some - 1) / (blocks * some))};
        for (int64_t b = 0; b < blocks; b++) {
            const float* block = x + (b * granules + i * 16) * WIDE;
            for (int64_t r = 0; r < tall; r += TALL) {
                float* to = sums + (b * tall + r) * WIDE;
                const char* from = w + r * stride + i * STEP;
                if (m - b * WIDE > LANES)
                    tiles<W, true>(from, stride, block, some, to, i > 0, ahead);
                else tiles<W, false>(from, stride, block, some, to, i > 0, ahead);
            }
            if (left) continue;
            const int64_t count = m - b * WIDE < WIDE ? m - b * WIDE : WIDE;
            finish(sums + b * tall * WIDE, int(rows), weight, row, first + b * WIDE, int(count),
                   out);
        }
    }
}

}  // namespace enfold

#endif
