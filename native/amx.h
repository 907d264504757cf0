// Many rows of activations on AMX tiles: 32 rows of weights (two tiles, read where they are) by 32
// rows of activations (two panels).
#pragma once

#include "group.h"

#if ENFOLD_AMX

namespace enfold {

constexpr int TALL = 32;  // rows of weights that tiles take at a time

// Steps (of 64 bytes of a row) between sums put away and taken up.  One block of x waits for memory:
// the processor sees TALL rows being read, and fetches ahead by itself.  More blocks take a part of
// the rows that stays in the nearest caches, one after the other, and ask for what comes next.
inline int64_t far(int64_t blocks) { return blocks == 1 ? 64 : 8; }

// Weights that come next, asked for while others are multiplied: every other line, one row after the
// other.  So few, and far apart, that they don't take the places of lines that tiles wait for; the
// processor fetches what lies between.
class Ahead {
public:
    Ahead(const char* from, int64_t stride, int64_t steps, int64_t calls)
        : column_(from),
          at_(from),
          stride_(stride),
          left_((steps + 1) / 2),
          some_(int((left_ * TALL + calls - 1) / calls)) {}
    void step() {
        for (int i = 0; i < some_ && left_ > 0; i++, at_ += stride_) {
            __builtin_prefetch(at_, 0, 2);
            if (++row_ < TALL) continue;
            row_ = 0, left_--, column_ += 2 * STEP, at_ = column_ - stride_;
        }
    }

private:
    const char *column_, *at_;
    int64_t stride_, left_;
    int some_, row_ = 0;
};

// TALL rows of weights from w on times all blocks of x, whose sums are `apart` numbers apart.
// next: the rows that come after; ends: of the whole rows.
template <class D>
void amx_panel(const char* w, int64_t stride, const char* next, const float* x, int64_t granules,
               int64_t m, float* sums, int64_t apart, Ends ends) {
    const int64_t steps = granules / 16, blocks = (m + WIDE - 1) / WIDE;
    const int64_t most = far(blocks);
    for (int64_t i = 0, some; i < steps; i += some) {
        some = steps - i <= most + 1 ? steps - i : most;  // no step alone
        const int64_t left = steps - i - some;
        const int64_t after = blocks == 1 ? 0 : smaller(left ? left : steps, most);
        Ahead ahead(left ? w + (i + some) * STEP : next, stride, after, blocks * some);
        for (int64_t b = 0; b < blocks; b++) {
            const bool both = m - b * WIDE > PANEL;
            const auto run = both ? by_tiles<D, 2, 2, Ahead> : by_tiles<D, 2, 1, Ahead>;
            run(w + i * STEP, stride, x + b * WIDE * granules + i * 16 * PANEL, granules * PANEL,
                sums + b * apart, WIDE, some * 16, i > 0, ahead,
                {i ? nullptr : ends.head, left ? nullptr : ends.tail});
        }
    }
}

// The first and the last line of TALL rows that begin `lead` bytes behind a line, zeros around.
inline Ends ends_of(const char* w, int64_t stride, int64_t bytes, int64_t lead, char* to) {
    char* tail = to + TALL * STEP;
    std::memset(to, 0, size_t(2 * TALL * STEP));
    for (int64_t i = 0; i < TALL; i++, w += stride) {
        std::memcpy(to + i * STEP + lead, w, size_t(STEP - lead));
        std::memcpy(tail + i * STEP, w + bytes - lead, size_t(lead));
    }
    return {to, tail};
}

// Some rows of one weight, for m rows of activations in panels.  lead: granules of zeros before
// those of x.
template <class D, class Out>
void amx_group(const Weight& weight, int64_t row, int64_t rows, const float* x, int64_t granules,
               int64_t m, int64_t k, int64_t first, const Out& out, int64_t lead) {
    using W = typename D::W;
    static thread_local Scratch copies, results;
    granules += lead ? 16 : 0;
    const int64_t bytes = k * int64_t(sizeof(W)), whole = granules * 4, before = lead * 4;
    const int64_t stride = weight.stride * int64_t(sizeof(W)), apart = round_up(rows, TALL) * WIDE;
    auto* sums = results.get<float>((m + WIDE - 1) / WIDE * apart);
    const Tiles unit;
    for (int64_t r = 0; r < rows; r += TALL) {
        const char* w = (const char*)weight.data + (row + r) * stride;
        float* to = sums + r * WIDE;
        if (rows - r < TALL || (bytes < whole && !lead)) {  // tiles would reach beyond: a copy, and
            char* copied = copies.get<char>(TALL * whole);  // zeros around
            std::memset(copied, 0, size_t(TALL * whole));
            for (int64_t i = 0; i < smaller(rows - r, int64_t{TALL}); i++)
                std::memcpy(copied + i * whole + before, w + i * stride, size_t(bytes));
            amx_panel<D>(copied, whole, copied, x, granules, m, to, apart, {});
        } else {
            const Ends ends = lead ? ends_of(w, stride, bytes, before,
                                             copies.get<char>(2 * TALL * STEP)) : Ends{};
            w -= before;
            amx_panel<D>(w, stride, w + TALL * stride, x, granules, m, to, apart, ends);
        }
    }
    for (int64_t b = 0; b < m; b += WIDE)
        finish(sums + b / WIDE * apart, int(rows), weight, row, first + b,
               int(smaller(m - b, int64_t(WIDE))), out);
}

constexpr int64_t PART = 16;  // steps of TALL rows that are made at a time

// A part of some rows of a weight that is stored in fewer bits, made row by row while tiles
// multiply another: they leave the rest of the processor idle.
template <class D, class Source> class Making {
public:
    using W = typename D::W;
    static constexpr int64_t EACH = STEP / int64_t(sizeof(W));  // numbers of a step

    struct Place {
        int64_t row, rows, first, count;  // numbers of these rows, and how many
    };

    // Made in `calls` calls of step, at `to`; `then`: what comes after.
    Making(const Source& source, const Weight& weight, Place place, Place then, W* to,
           int64_t calls)
        : source_(source),
          weight_(weight),
          place_(place),
          then_(then),
          to_(to),
          some_(int((place.rows + calls - 1) / calls)) {}
    void step() {
        for (int i = 0; i < some_ && row_ < place_.rows; i++, row_++, to_ += PART * EACH) {
            source_(weight_, place_.row + row_, place_.first, place_.count, to_);
            const int64_t rest = round_up(place_.count, EACH) - place_.count;
            if (rest) std::memset((void*)(to_ + place_.count), 0, size_t(rest) * sizeof(W));
            if (row_ < then_.rows) source_.ask(weight_, then_.row + row_, then_.first, then_.count);
        }
    }

private:
    const Source& source_;
    const Weight& weight_;
    const Place place_, then_;
    W* to_;
    int64_t row_ = 0;
    const int some_;
};

// The same for weights that are stored in fewer bits, whose numbers never leave the nearest caches.
template <class D, class Out, class Source>
void amx_made(const Source& source, const Weight& weight, int64_t row, int64_t rows, const float* x,
              int64_t granules, int64_t m, int64_t k, int64_t first, const Out& out) {
    using Make = Making<D, Source>;
    using W = typename D::W;
    static thread_local Scratch parts, results;
    constexpr int64_t WHOLE = PART * Make::EACH;  // numbers of a row in a part
    const int64_t blocks = (m + WIDE - 1) / WIDE, apart = round_up(rows, TALL) * WIDE;
    const int64_t across = (k + WHOLE - 1) / WHOLE, all = (rows + TALL - 1) / TALL * across;
    auto* sums = results.get<float>(blocks * apart);
    auto* numbers = parts.get<W>(2 * TALL * WHOLE);
    const auto place = [&](int64_t n) -> typename Make::Place {
        const int64_t r = n / across * TALL, i = n % across * WHOLE;
        return {row + r, n < all ? smaller(rows - r, int64_t{TALL}) : 0, i, smaller(k - i, WHOLE)};
    };
    const auto room = [&](int64_t n) { return numbers + n % 2 * TALL * WHOLE; };
    const Tiles unit;
    Make(source, weight, place(0), place(1), room(0), 1).step();
    for (int64_t n = 0; n < all; n++) {
        const int64_t i = n % across * PART, some = smaller(granules / 16 - i, PART);
        Make making(source, weight, place(n + 1), place(n + 2), room(n + 1), blocks * some);
        for (int64_t b = 0; b < blocks; b++) {
            const bool both = m - b * WIDE > PANEL;
            const auto run = both ? by_tiles<D, 2, 2, Make> : by_tiles<D, 2, 1, Make>;
            run((const char*)room(n), PART * STEP, x + b * WIDE * granules + i * 16 * PANEL,
                granules * PANEL, sums + b * apart + n / across * TALL * WIDE, WIDE, some * 16,
                i > 0, making, {});
        }
    }
    for (int64_t b = 0; b < blocks; b++)
        finish(sums + b * apart, int(rows), weight, row, first + b * WIDE,
               int(smaller(m - b * WIDE, int64_t(WIDE))), out);
}

}  // namespace enfold

#endif
