// A few rows of activations times weights in blocks of four bits, a row of the weight at a time.
#pragma once

#include <memory>

#include "blocks4.h"

namespace enfold {
namespace {  // of one source: compilers put what is called once where it is called

constexpr int CHUNK = 128;    // numbers of a weight in 64 bytes
constexpr int MOST_ROWS = 2;  // of x at a time
constexpr int AHEAD = 8192;   // bytes of the weight that are asked for in advance

#if ENFOLD_AVX512

// Rows of x in the order in which the numbers of a weight come out of its bytes.
//
// fp32: of a chunk, vector s holds the numbers 8 lane + (s ^ 1), those of bits 4 s of each 32.
// bf16: vector s holds 4 lane + (s ^ 1), those of bits 4 s of each 16.
struct Arranged {
    int64_t chunks, stride;  // vectors of 64 bytes per row
    bool by_pairs = false;
    std::unique_ptr<uint8_t[]> room;
    const uint8_t* vectors;

    template <class T>
    Arranged(const T* x, int64_t rows, int64_t inputs, [[maybe_unused]] bool pairs) {
#if ENFOLD_BF16
        by_pairs = pairs;
#endif
        chunks = (inputs + CHUNK - 1) / CHUNK;
        stride = chunks * (by_pairs ? 4 : 8);
        room.reset(new uint8_t[size_t(rows * stride * 64 + 64)]);
        uint8_t* start = room.get() + (64 - (uintptr_t(room.get()) & 63)) % 64;
        vectors = start;
        for (int64_t row = 0; row < rows; row++)
            for (int64_t c = 0; c < chunks; c++)
                fill(x + row * inputs + c * CHUNK, inputs - c * CHUNK,
                     start + (row * stride + c * (by_pairs ? 4 : 8)) * 64);
    }

    template <class T> void fill(const T* x, int64_t left, uint8_t* to) const {
        const int per = by_pairs ? 4 : 8, lanes = CHUNK / per;
        for (int s = 0; s < per; s++)
            for (int lane = 0; lane < lanes; lane++) {
                const int n = lane * per + (s ^ 1);
                const float found = n < left ? to_float(x[n]) : 0.0f;
                if (by_pairs) from_float((bf16*)to + s * lanes + lane, found);
                else from_float((float*)to + s * lanes + lane, found);
            }
    }

    const uint8_t* at(int64_t row) const { return vectors + row * stride * 64; }
};

// Of the 16 sums of a chunk the first eight belong to its first 64 numbers, the others to the rest.
// PAIRS: blocks are of 64, so that each half has a scale of its own.
template <bool PAIRS> inline F scale_of(const float* scales, __mmask16 second) {
    const F first = all(scales[0]);
    if (!PAIRS) return first;
    return _mm512_mask_broadcastss_ps(first, second, _mm_load_ss(scales + 1));
}

inline __mmask16 upper_half() {
    __mmask16 mask = 0xff00;
    __asm__("" : "+Yk"(mask));  // keeps it in its register
    return mask;
}

struct Numbers4 {  // fp32: eight vectors of x for a chunk
    static constexpr int STEP = 8;
    F table;

    explicit Numbers4(const Table& values) : table(_mm512_loadu_ps(values.values)) {}
    F product(__m512i bytes, const uint8_t* x) const {
        F even = zero(), odd = even;
        for (int s = 0; s < 8; s += 2) {
            const F first = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4 * s), table);
            const F second = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4 * s + 4), table);
            even = fma(first, _mm512_load_ps((const float*)(x + s * 64)), even);
            odd = fma(second, _mm512_load_ps((const float*)(x + s * 64 + 64)), odd);
        }
        return _mm512_add_ps(even, odd);
    }
};

#if ENFOLD_BF16
struct Pairs4 {  // bf16: four vectors of x for a chunk
    static constexpr int STEP = 4;
    __m512i table;

    explicit Pairs4(const Table& values) : table(_mm512_loadu_si512(values.pairs)) {}
    F product(__m512i bytes, const uint8_t* x) const {
        F even = zero(), odd = even;
        for (int s = 0; s < 4; s += 2) {
            const __m512i first = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4 * s), table);
            const __m512i second =
                _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4 * s + 4), table);
            even = _mm512_dpbf16_ps(even, (__m512bh)first, (__m512bh)_mm512_load_si512(x + s * 64));
            odd = _mm512_dpbf16_ps(odd, (__m512bh)second,
                                   (__m512bh)_mm512_load_si512(x + s * 64 + 64));
        }
        return _mm512_add_ps(even, odd);
    }
};
#else
using Pairs4 = Numbers4;
#endif

template <class Kind, int M, bool PAIRS>
inline void row_products(const Arranged& x, int64_t row, const uint8_t* packed, int64_t inputs,
                         int shift, const float* scales, const Table& values, float* sums) {
    const Kind way(values);
    const __mmask16 second = upper_half();
    const int64_t chunks = inputs / CHUNK, apart = x.stride * 64;
    const uint8_t* given = x.at(row);
    F acc[M];
    for (auto& each : acc) each = zero();
    for (int64_t c = 0; c < chunks; c++, packed += 64, given += Kind::STEP * 64) {
        const __m512i bytes = _mm512_loadu_si512(packed);
        _mm_prefetch((const char*)(packed + AHEAD), _MM_HINT_T0);
        const F scale = scale_of<PAIRS>(scales + (PAIRS ? 2 * c : c * CHUNK >> shift), second);
        for (int m = 0; m < M; m++)
            acc[m] = fma(way.product(bytes, given + m * apart), scale, acc[m]);
    }
    if (inputs % CHUNK) {  // 64 more
        const __m512i bytes = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i*)packed));
        const F scale = all(scales[chunks * CHUNK >> shift]);
        for (int m = 0; m < M; m++)
            acc[m] = fma(way.product(bytes, given + m * apart), scale, acc[m]);
    }
    for (int m = 0; m < M; m++) sums[m] = total(acc[m]);
}

template <int M>
inline void some_products(const Arranged& x, int64_t row, const uint8_t* packed, int64_t inputs,
                          int64_t block, const float* scales, const Table& values, float* sums) {
    const int shift = __builtin_ctzll(uint64_t(block));
    const bool pairs = block == 64;
    if (x.by_pairs && pairs)
        return row_products<Pairs4, M, true>(x, row, packed, inputs, shift, scales, values, sums);
    if (x.by_pairs)
        return row_products<Pairs4, M, false>(x, row, packed, inputs, shift, scales, values, sums);
    if (pairs)
        return row_products<Numbers4, M, true>(x, row, packed, inputs, shift, scales, values, sums);
    row_products<Numbers4, M, false>(x, row, packed, inputs, shift, scales, values, sums);
}

// sums [m]: rows [row, row + height) of x times one row of the weight.
inline void products(const Arranged& x, int64_t row, int height, const uint8_t* packed,
                     int64_t inputs, int64_t block, const float* scales, const Table& values,
                     float* sums) {
    if (height == 2) return some_products<2>(x, row, packed, inputs, block, scales, values, sums);
    some_products<1>(x, row, packed, inputs, block, scales, values, sums);
}

#else

// x as fp32.
struct Arranged {
    int64_t inputs;
    std::unique_ptr<float[]> numbers;

    template <class T> Arranged(const T* x, int64_t rows, int64_t width, bool) : inputs(width) {
        numbers.reset(new float[size_t(rows * width)]);
        for (int64_t n = 0; n < rows * width; n++) numbers[n] = to_float(x[n]);
    }
    const float* at(int64_t row) const { return numbers.get() + row * inputs; }
};

inline void products(const Arranged& x, int64_t row, int height, const uint8_t* packed,
                     int64_t inputs, int64_t block, const float* scales, const Table& values,
                     float* sums) {
    constexpr int STEP = 64;
    for (int m = 0; m < height; m++) sums[m] = 0.0f;
    float part[STEP];
    for (int64_t n = 0; n < inputs; n += STEP) {
        unpack_block(packed + n / 2, STEP, scales[n / block], values.values, part);
        for (int m = 0; m < height; m++) {
            const float* given = x.at(row + m) + n;
            float sum[16] = {};
            for (int k = 0; k < STEP; k += 16)
                for (int lane = 0; lane < 16; lane++) sum[lane] += part[k + lane] * given[k + lane];
            for (int lane = 0; lane < 16; lane++) sums[m] += sum[lane];
        }
    }
}

#endif

}  // namespace
}  // namespace enfold
