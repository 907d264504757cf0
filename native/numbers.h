// Numbers of 16 bits, one at a time, and small helpers.
#pragma once

#include <cstdint>
#include <cstring>

#include "api.h"

#if ENFOLD_AVX2
#include <immintrin.h>
#endif

namespace enfold {

struct bf16 {
    uint16_t bits;
};
struct f16 {
    uint16_t bits;
};

template <int N> struct Number {
    static constexpr int value = N;
};

template <class T> T smaller(T a, T b) { return a < b ? a : b; }
template <class T> T larger(T a, T b) { return a > b ? a : b; }
inline int64_t round_up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

inline float as_float(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, 4);
    return x;
}
inline uint32_t as_bits(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return bits;
}

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return as_float(uint32_t(x.bits) << 16); }
inline float to_float(f16 x) {
#if ENFOLD_AVX2
    return _cvtsh_ss(x.bits);
#else
    const uint32_t sign = uint32_t(x.bits & 0x8000) << 16, rest = x.bits & 0x7fff;
    if (rest < 0x0400) return as_float(as_bits(float(rest) * 0x1p-24f) | sign);  // denormals
    return as_float(((rest << 13) + (rest < 0x7c00 ? 112u << 23 : 224u << 23)) | sign);
#endif
}

inline void from_float(float* y, float x) { *y = x; }
inline void from_float(bf16* y, float x) {  // to nearest, ties to even; NaN stays NaN
    const uint32_t bits = as_bits(x);
    y->bits = x != x ? 0x7fc0 : uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline void from_float(f16* y, float x) {
#if ENFOLD_AVX2
    y->bits = uint16_t(_cvtss_sh(x, 0));
#else
    const uint32_t sign = (as_bits(x) >> 16) & 0x8000, rest = as_bits(x) & 0x7fffffff;
    uint32_t half;
    if (rest > 0x7f800000) half = 0x7e00;
    else if (rest >= 0x477ff000) half = 0x7c00;  // rounds to infinity
    else if (rest < 0x38800000)  // a denormal: units of 2^-24 in the low bits of a sum
        half = as_bits(as_float(rest) + 0.5f) - 0x3f000000;
    else half = (rest - (112u << 23) + 0xfff + ((rest >> 13) & 1)) >> 13;
    y->bits = uint16_t(sign | half);
#endif
}

}  // namespace enfold
