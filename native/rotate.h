// Rotary positions on one head.
//
// cos and sin hold R features, the first of each pair with a negative sine (see nn/rope.py).
#pragma once

#include "lanes.h"

namespace {

template <int N> struct Size {
  static constexpr int value = N;
};

// x [R], in place: its halves, or its neighbours if `interleaved`, as pairs.
template <class T>
inline void rotate_head(T* x, const float* cos, const float* sin, int rotated, bool interleaved) {
  int half = rotated / 2, i = 0;
  if (!interleaved)
    for (; i + W <= half; i += W) {
      V one = load(x + i), two = load(x + half + i);
      store(x + i, fma(two, load(sin + i), one * load(cos + i)));
      store(x + half + i, fma(one, load(sin + half + i), two * load(cos + half + i)));
    }
  for (; i < half; ++i) {
    int left = interleaved ? 2 * i : i, right = interleaved ? left + 1 : left + half;
    float one = value(x[left]), two = value(x[right]);
    put(x + left, one * cos[left] + two * sin[left]);
    put(x + right, two * cos[right] + one * sin[right]);
  }
}

}  // namespace
