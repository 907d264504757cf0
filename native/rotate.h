// Rotary positions on one head.
//
// cos and sin hold R features, the first of each pair with a negative sine (see nn/rope.py).
#pragma once

#include "vec.h"

namespace enfold {

// x [R], in place: its halves, or its neighbours if `interleaved`, as pairs.
template <class T>
inline void rotate_head(T* x, const float* cos, const float* sin, int rotated, bool interleaved) {
    int half = rotated / 2, i = 0;
    if (!interleaved)
        for (; i + LANES <= half; i += LANES) {
            F one = load(x + i), two = load(x + half + i);
            store(x + i, fma(two, load(sin + i), one * load(cos + i)));
            store(x + half + i, fma(one, load(sin + half + i), two * load(cos + half + i)));
        }
    for (; i < half; i++) {
        int left = interleaved ? 2 * i : i, right = interleaved ? left + 1 : left + half;
        float one = to_float(x[left]), two = to_float(x[right]);
        from_float(x + left, one * cos[left] + two * sin[left]);
        from_float(x + right, two * cos[right] + one * sin[right]);
    }
}

}  // namespace enfold
