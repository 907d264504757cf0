// Rotary positions on one head.
//
// cos and sin hold R features, the first of each pair with a negative sine (see nn/rope.py).
#pragma once

#include "lanes.h"

namespace {

template <int N> struct Size {
  static constexpr int value = N;
};

// x: a head in fp32, in place, rounded to T as a product of T would be.
template <class T, class Args>
void rotate_row(float* x, const float* cos, const float* sin, const Args& a) {
  int half = a.rotated / 2, step = a.interleaved ? 2 : 1, across = a.interleaved ? 1 : half;
  for (int i = 0; i < half; ++i) {
    int left = i * step, right = left + across;
    float one = x[left], two = x[right];
    T found;
    put(&found, one * cos[left] + two * sin[left]);
    x[left] = value(found);
    put(&found, two * cos[right] + one * sin[right]);
    x[right] = value(found);
  }
}

}  // namespace
