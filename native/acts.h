// Activations and their slopes.
#pragma once

#include "exp2.h"

namespace enfold {

enum Act { SILU, GELU, GELU_TANH, QUICK_GELU, RELU, RELU2 };

inline F inverse(F x) {  // 1 / x
#if ENFOLD_AVX512
    const F near = _mm512_rcp14_ps(x);
    return fma(near, fma(-x, near, all(1.f)), near);
#else
    return 1.f / x;
#endif
}

inline F sigmoid(F x) { return inverse(1.f + exp2(larger(x, all(-80.f)) * -LOG2E)); }

// Densities of the normal distribution, times sqrt(2 pi).
inline F bell(F x) { return exp2(x * x * (-0.5f * LOG2E)); }

// The normal distribution's share below x, from its density there: Abramowitz and Stegun 7.1.26.
inline F share_below(F x, F density) {
    const F t = inverse(fma(absolute(x) * 0.70710678118f, all(0.3275911f), all(1.f)));
    F tail = fma(t, all(1.061405429f), all(-1.453152027f));
    tail = fma(tail, t, all(1.421413741f));
    tail = fma(tail, t, all(-0.284496736f));
    tail = 0.5f * fma(tail, t, all(0.254829592f)) * t * density;
    return pick(x < 0.f, tail, 1.f - tail);
}

// GELU's approximation is x times a sigmoid of this.
inline F bent(F x, float cubic) { return 1.5957691216f * fma(x * x, all(cubic), all(1.f)); }

template <int act> inline F activate(F x) {
    if (act == SILU) return x * sigmoid(x);
    if (act == GELU) return x * share_below(x, bell(x));
    if (act == GELU_TANH) return x * sigmoid(x * bent(x, 0.044715f));
    if (act == QUICK_GELU) return x * sigmoid(1.702f * x);
    const F above = larger(x, F{});
    return act == RELU ? above : above * above;
}

// The activation, and its derivative; of the first three.
template <int act> inline F activate(F x, F& slope) {
    if (act == GELU) {
        const F density = bell(x), below = share_below(x, density);
        slope = fma(x * 0.3989422804f, density, below);
        return x * below;
    }
    const F share = sigmoid(act == SILU ? x : x * bent(x, 0.044715f));
    const F inner = act == SILU ? all(1.f) : bent(x, 0.134145f);
    slope = fma(share * (1.f - share) * x, inner, share);
    return x * share;
}

}  // namespace enfold
