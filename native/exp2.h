// Powers of two, by lanes.
#pragma once

#include "vec.h"

namespace enfold {

constexpr float LOG2E = 1.4426950408889634f;

// 2^x for x <= 127, to 2e-7, or to 8e-5 if `rough`; below 2^-126, and of -inf, it is 0; NaN stays.
template <bool rough = false> inline F exp2(F x) {
#if ENFOLD_AVX512
    const F bounded = larger(all(-200.f), x);  // the second where one is NaN
    const F whole = _mm512_roundscale_ps(bounded, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const F f = bounded - whole;
#else
    const float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to whole numbers
    const I low = x < -126.f;
    const F bounded = pick(low, all(-126.f), x), shifted = bounded + magic;
    const F f = bounded - (shifted - magic);
#endif
    F p;
    if (rough) {
        p = fma(all(5.508868e-2f), f, all(2.4260405e-1f));
        p = fma(p, f, all(6.9327624e-1f));
        p = fma(p, f, all(9.9992894e-1f));
    } else {
        p = fma(all(1.535336188319500e-4f), f, all(1.339887440266574e-3f));
        p = fma(p, f, all(9.618437357674640e-3f));
        p = fma(p, f, all(5.550332471162809e-2f));
        p = fma(p, f, all(2.402264791363012e-1f));
        p = fma(p, f, all(6.931472028550421e-1f));
        p = fma(p, f, all(1.f));
    }
#if ENFOLD_AVX512
    return _mm512_scalef_ps(p, whole);
#else
    return pick(low, F{}, (F)((I)p + ((I)shifted << 23)));
#endif
}

inline float exp2(float x) { return exp2(all(x))[0]; }

}  // namespace enfold
