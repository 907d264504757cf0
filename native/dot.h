// Few rows of activations: a row of weights is read once and multiplied with each of them.
//
// A way to multiply (`Wide`, `Pairs`, ...) says what activations are turned into (X), how many
// numbers a step takes, and how a step is done; sums are fp32, or exact int32.
#pragma once

#include "vec.h"

namespace enfold {

template <class T> struct Wide {  // any float type, through fp32
    using Form = Wide<float>;     // what products of granules are the same for
    using W = T;
    using X = float;
    using Sum = float;
    using Acc = F;
    using Piece = F;
    static constexpr int STEP = LANES;
    static Acc none() { return zero(); }
    static Piece weight(const W* w) { return load(w); }
    static Piece weight(const W* w, int count) { return load(w, count); }
    static Acc dot(Acc acc, Piece w, const X* x) { return fma(w, load(x), acc); }
    static Sum total(Acc acc, Acc) { return enfold::total(acc); }
    static Acc own(Acc acc, Piece) { return acc; }
};

#if ENFOLD_BF16

struct Pairs {  // products of bf16 numbers two by two, summed in fp32
    using Form = Pairs;
    using W = bf16;
    using X = bf16;
    using Sum = float;
    using Acc = F;
    using Piece = __m512i;
    static constexpr int STEP = 32;
    static Acc none() { return zero(); }
    static Piece weight(const W* w) { return _mm512_loadu_si512(w); }
    static Piece weight(const W* w, int count) {
        return _mm512_maskz_loadu_epi16(count >= 32 ? ~0u : (1u << count) - 1, w);
    }
    static Acc dot(Acc acc, Piece w, const X* x) {
        return _mm512_dpbf16_ps(acc, (__m512bh)_mm512_loadu_si512(x), (__m512bh)w);
    }
    static Sum total(Acc acc, Acc) { return enfold::total(acc); }
    static Acc own(Acc acc, Piece) { return acc; }
};

struct Bytes {  // unsigned activations (128 more than they are) by signed weights, four by four
    using Form = Bytes;
    using W = int8_t;
    using X = uint8_t;
    using Sum = int32_t;
    using Acc = __m512i;
    using Piece = __m512i;
    static constexpr int STEP = 64;
    static Acc none() { return _mm512_setzero_si512(); }
    static Piece weight(const W* w) { return _mm512_loadu_si512(w); }
    static Piece weight(const W* w, int count) {
        return _mm512_maskz_loadu_epi8(count >= 64 ? ~0ull : (1ull << count) - 1, w);
    }
    static Acc dot(Acc acc, Piece w, const X* x) {
        return _mm512_dpbusd_epi32(acc, _mm512_loadu_si512(x), w);
    }
    static Acc own(Acc acc, Piece w) { return _mm512_dpbusd_epi32(acc, _mm512_set1_epi8(1), w); }
    static Sum total(Acc acc, Acc weights) {
        return _mm512_reduce_add_epi32(_mm512_sub_epi32(acc, _mm512_slli_epi32(weights, 7)));
    }
};

#else

struct Bytes {  // int8 weights widened to int16: without VNNI
    using Form = Bytes;
    using W = int8_t;
    using X = int16_t;
    using Sum = int32_t;
#if ENFOLD_AVX2
    using Acc = __m256i;
    using Piece = __m256i;
    static Acc none() { return _mm256_setzero_si256(); }
    static Piece weight(const W* w) {
        return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)w));
    }
    static Acc dot(Acc acc, Piece w, const X* x) {
        const __m256i both = _mm256_loadu_si256((const __m256i*)x);
        return _mm256_add_epi32(acc, _mm256_madd_epi16(w, both));
    }
    static Sum total(Acc acc, Acc) {
        __m128i half = _mm_add_epi32(_mm256_castsi256_si128(acc), _mm256_extracti128_si256(acc, 1));
        half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
        return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
    }
#else
    using Acc = int32_t;
    struct Piece {
        int16_t each[16];
    };
    static Acc none() { return 0; }
    static Piece weight(const W* w) {
        Piece piece;
        for (int i = 0; i < STEP; i++) piece.each[i] = w[i];
        return piece;
    }
    static Acc dot(Acc acc, const Piece& w, const X* x) {
        for (int i = 0; i < STEP; i++) acc += int32_t(w.each[i]) * x[i];
        return acc;
    }
    static Sum total(Acc acc, Acc) { return acc; }
#endif
    static constexpr int STEP = 16;
    static Piece weight(const W* w, int count) {
        W each[STEP] = {};
        std::memcpy(each, w, count < STEP ? count : STEP);
        return weight(each);
    }
    static Acc own(Acc acc, const Piece&) { return acc; }
};

#endif

// Sums of R rows of weights (`stride` apart) with C rows of activations (`ldx` apart, padded with
// zeros to whole steps).  Asks for the next R rows on the way: memory is busy all the time.
template <class D, int R, int C>
void dots(const typename D::W* w, int64_t stride, const typename D::X* x, int64_t ldx, int64_t k,
          typename D::Sum (&out)[R][C]) {
    typename D::Acc acc[R][C], own[R];
    for (int r = 0; r < R; r++) {
        own[r] = D::none();
        for (int c = 0; c < C; c++) acc[r][c] = D::none();
    }
    int64_t i = 0;
    for (; i + D::STEP <= k; i += D::STEP) {
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) {
            __builtin_prefetch(w + (R + r) * stride + i, 0, 3);
            const typename D::Piece piece = D::weight(w + r * stride + i);
            own[r] = D::own(own[r], piece);
#pragma GCC unroll 4
            for (int c = 0; c < C; c++) acc[r][c] = D::dot(acc[r][c], piece, x + c * ldx + i);
        }
    }
    if (i < k) {
        for (int r = 0; r < R; r++) {
            const typename D::Piece piece = D::weight(w + r * stride + i, int(k - i));
            own[r] = D::own(own[r], piece);
            for (int c = 0; c < C; c++) acc[r][c] = D::dot(acc[r][c], piece, x + c * ldx + i);
        }
    }
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) out[r][c] = D::total(acc[r][c], own[r]);
}

// How numbers of a type are multiplied with their like.
template <class T> struct Ways {
    using type = Wide<T>;
};
#if ENFOLD_BF16
template <> struct Ways<bf16> {
    using type = Pairs;
};
#endif
template <class T> using Way = typename Ways<T>::type;

}  // namespace enfold
