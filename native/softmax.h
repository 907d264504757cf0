// A row of scores as weights, in powers of two.
#pragma once

#include "exp2.h"

namespace enfold {

// Scores of products, in place: scaled, with the bias (or null), minus infinity where the mask (or
// null) is 0 and in the empty lanes of the last vector.  Their highest.
inline float adjust(float* score, int count, float scale, const float* bias, const uint8_t* mask) {
    F top = all(-INFINITY), nothing = top;
    for (int i = 0; i < count; i += LANES) {
        F found = load(score + i) * (scale * LOG2E);
        if (bias) found += load(bias + i, count - i) * LOG2E;
        if (mask) found = pick(nonzero(mask + i, count - i), found, nothing);
        if (count - i < LANES) found = pick(counted() < count - i, found, nothing);
        store(score + i, found);
        top = larger(top, found);
    }
    return highest(top);
}

// Weights 2^(score - top), up to whole vectors, and their sum; rough if they are rounded anyway.
template <class T> inline float weigh(const float* score, T* weight, int count, float top) {
    F sum = {};
    for (int i = 0; i < count; i += LANES) {
        F found = exp2<sizeof(T) == 2>(load(score + i) - top);
        store(weight + i, found);
        sum += found;
    }
    return total(sum);
}

// What a maximum stands for in a difference: 0 where nothing was seen yet.
inline float base(float top) { return top == -INFINITY ? 0.f : top; }

}  // namespace enfold
