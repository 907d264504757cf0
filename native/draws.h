// Random numbers by place: which numbers dropout keeps is a function of a seed and where they are,
// so that the backward pass draws what the forward pass drew, in any order, on any thread.
#pragma once

#include "exp2.h"

namespace enfold {

// Each bit of 32 depends on all of the input: Ellis, "lowbias32" of the hash prospector.
template <class U> inline U mixed(U x) {
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

struct Draws {
    uint32_t low, high, least;  // what is drawn below `least` is dropped
    float scale;                // of what is kept

    Draws(uint64_t seed, double rate)
            : low(uint32_t(seed)), high(uint32_t(seed >> 32)), least(uint32_t(rate * 4294967296.0)),
                scale(float(1 / (1 - rate))) {}

    // The start of a row: a text's token, a head.
    uint32_t row(uint64_t number) const {
        return mixed(mixed(uint32_t(number) ^ low) + uint32_t(number >> 32) * 0x9e3779b9u + high);
    }

    // scale or 0 for LANES places of a row.
    F kept(uint32_t row, int64_t first) const {
        U place = (U)counted() + uint32_t(first);
        U drawn = mixed(place * 0x9e3779b9u + row);
        return pick((I)(drawn >= least), all(scale), F{});
    }
};

}  // namespace enfold
