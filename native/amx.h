// Many rows of activations on AMX tiles: 32 rows of weights (two tiles, read where they are) by 32
// rows of activations (two panels).
#pragma once

#include "group.h"

#if ENFOLD_AMX

namespace enfold {

constexpr int TALL = 32;     // rows of weights that tiles take at a time
constexpr int64_t FAR = 64;  // steps (of 64 bytes of a row) between sums put away and taken up

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

// Rows of weights that each block of x is multiplied with before the next: few while weights come
// from memory, so that the next are asked for in time; many when there is much to do with each.
inline int64_t tallest(int64_t m) { return m <= 4 * WIDE ? TALL : 8 * TALL; }

// Up to `tallest` rows of one weight, for m rows of activations in panels.
template <class D, class Out>
void amx_group(const Weight& weight, int64_t row, int64_t rows, const float* x, int64_t granules,
               int64_t m, int64_t k, int64_t first, const Out& out) {
    using W = typename D::W;
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
        const int64_t some = smaller(steps - i, FAR);
        const int64_t left = steps - i - some, next = smaller(left ? left : steps, FAR);
        Ahead ahead{left ? w + (i + some) * STEP : after, stride, next, next * tall,
                    int((next * TALL + blocks * some - 1) / (blocks * some))};
        for (int64_t b = 0; b < blocks; b++) {
            const float* block = x + b * WIDE * granules + i * 16 * PANEL;
            const bool both = m - b * WIDE > PANEL;
            const auto run = both ? by_tiles<D, 2, 2, Ahead> : by_tiles<D, 2, 1, Ahead>;
            for (int64_t r = 0; r < tall; r += TALL)
                run(w + r * stride + i * STEP, stride, block, granules * PANEL,
                    sums + (b * tall + r) * WIDE, WIDE, some * 16, i > 0, ahead);
            if (!left)
                finish(sums + b * tall * WIDE, int(rows), weight, row, first + b * WIDE,
                       int(smaller(m - b * WIDE, int64_t(WIDE))), out);
        }
    }
}

}  // namespace enfold

#endif
