// y = x W^T for int8 weights [O, I] with a scale per output; each row of activations is quantized
// as it comes: the largest number becomes 127.  Sums are exact.
#include <cmath>

#include "gemm.h"

namespace enfold {
namespace {

// The largest size in a row over 127; not a number if the row holds anything not finite.
template <class T> float scale_of(const T* x, int64_t k) {
    F most = zero(), bad = zero();
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES) {
        const F some = load(x + i);
        most = larger(most, absolute(some)), bad = fma(some, zero(), bad);
    }
    if (i < k) {
        const F some = load(x + i, int(k - i));
        most = larger(most, absolute(some)), bad = fma(some, zero(), bad);
    }
    return highest(most) / 127 + total(bad);
}

#if ENFOLD_AVX512
inline void keep(int8_t* to, __m512i q, __mmask16 some) {
    _mm_mask_storeu_epi8(to, some, _mm512_cvtepi32_epi8(q));
}
inline void keep(uint8_t* to, __m512i q, __mmask16 some) {
    q = _mm512_add_epi32(q, _mm512_set1_epi32(128));
    _mm_mask_storeu_epi8(to, some, _mm512_cvtepi32_epi8(q));
}
inline void keep(int16_t* to, __m512i q, __mmask16 some) {
    _mm256_mask_storeu_epi16(to, some, _mm512_cvtepi32_epi16(q));
}
#endif

// round(x / scale); unsigned numbers are 128 more.
template <class T, class X> void quantize(const T* x, int64_t k, float scale, X* to) {
    const bool plain = scale > 0;  // else all are zero, or the scale is not a number: so is the sum
    const F by = all(plain ? scale : 1);
    for (int64_t i = 0; i < k; i += LANES) {
        const int count = k - i < LANES ? int(k - i) : LANES;
        const F q = (count < LANES ? load(x + i, count) : load(x + i)) / by;
#if ENFOLD_AVX512
        keep(to + i, plain ? _mm512_cvtps_epi32(q) : _mm512_setzero_si512(), first(count));
#else
        float each[LANES];
        store(each, q);
        for (int j = 0; j < count; j++) {
            const int number = plain ? int(std::nearbyint(each[j])) : 0;
            to[i + j] = X(std::is_unsigned<X>::value ? number + 128 : number);
        }
#endif
    }
}

// Rows of x quantized to type X, zeros behind; leaves their scales in `scales`.
template <class T, class X> struct Quantized {
    const T* x;
    int64_t ldx, k;
    float* scales;
    int threads;
    int64_t pitch(int64_t granules) const { return granules; }
    const float* operator()(int64_t first, int64_t rows, int64_t granules, Scratch& scratch) const {
        auto* to = scratch.get<float>(rows * granules);
        const int64_t wide = granules * 4 / int64_t(sizeof(X));
        parallel(rows, 8, threads, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; r++) {
                X* row = (X*)to + r * wide;
                const T* from = x + (first + r) * ldx;
                quantize(from, k, scales[first + r] = scale_of(from, k), row);
                std::memset((void*)(row + k), 0, size_t(wide - k) * sizeof(X));
            }
        });
        return to;
    }
};

template <class T>
void linear(const Weight& weight, const void* x, int64_t m, int64_t k, int64_t ldx, void* y,
            int threads) {
    using X = Bytes::X;
    static thread_local Scratch scratch, scale_scratch;
    float* scales = scale_scratch.get<float>(m);
    const auto* from = static_cast<const T*>(x);
    const Scaled<T> out{static_cast<T*>(y), m, scales};
    if (m > few<Bytes>()) {
#if ENFOLD_AMX
        const Quantized<T, int8_t> rows{from, ldx, k, scales, threads};
#else
        const Quantized<T, X> rows{from, ldx, k, scales, threads};
#endif
        return gemm<Bytes>(&weight, 1, rows, m, k, out, threads);
    }
    const Quantized<T, X> rows{from, ldx, k, scales, threads};
    const int64_t granules = round_up(k * int64_t(sizeof(X)), 64) / 4;
    const auto* given = (const X*)rows(0, m, granules, scratch);
    gemv<Bytes>(&weight, 1, given, granules * 4 / int64_t(sizeof(X)), m, k, out, threads);
}

}  // namespace
}  // namespace enfold

using namespace enfold;

#define LINEAR(NAME, TYPE)                                                                       \
    ENFOLD void NAME(const int8_t* weight, const float* scales, const float* bias, int64_t rows, \
                     int64_t stride, const void* x, int64_t m, int64_t k, int64_t ldx, void* y,  \
                     int threads) {                                                              \
        linear<TYPE>({weight, bias, scales, rows, stride}, x, m, k, ldx, y, threads);            \
    }

LINEAR(enfold_int8_f32, float)
LINEAR(enfold_int8_bf16, bf16)
LINEAR(enfold_int8_f16, f16)
