// A few rows of inputs times weights in groups, as products of bytes.
//
// Inputs are rounded to int8 in blocks of 32 with a scale each, so that sums of a block are exact:
//
//     y[o] = sum over blocks b of  scale[o, g] * xs[b] * (sum of q * xq  -  zero[o, g] * sum of xq)
//
// Inputs of signed bytes, whose formats leave inputs as they are, become int16 if they have 16 bits:
// numbers are off by at most 2^-16 of the largest in their block.
//
// Rows of q are read once, in order.  Of 4 bits 128 inputs are laid out as the ones
// with an even place and then the odd ones: what the halves of 64 bytes of q are multiplied with.
//
// I in, B blocks
#pragma once

#include <cmath>

#include "groups.h"

namespace enfold {

constexpr int BLOCK = 32;        // inputs with a scale of their own
constexpr int CHUNK = 128;       // inputs that are laid out together
constexpr int AT_ONCE = 4;       // rows of x
constexpr int64_t AHEAD = 2048;  // bytes from what is used to what is asked for

struct Inputs {    // of one row
    int8_t* q;     // laid out by chunks, zeros behind; or int16 in their own order
    float* scale;  // [B]
    float* sum;    // [B] of q
};

// Whether inputs of type T become int16.
template <class T> bool by_shorts([[maybe_unused]] const Groups& w) {
#if ENFOLD_AVX512
    return w.form == SIGNED && sizeof(T) == 2;
#else
    return false;
#endif
}

inline int placed(int k, int bits) { return bits == 8 ? k : (k & 1) * (CHUNK / 2) + k / 2; }

// A block of 32 numbers as int8; returns their sum.  to: the chunk, at: the place of the first.
#if ENFOLD_AVX512
inline int quantize_block(const float* x, float back, int bits, int8_t* to, int at) {
    const __m512 b = _mm512_set1_ps(back);
    const __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), b));
    const __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16), b));
    __m256i q = _mm256_set_m128i(_mm512_cvtepi32_epi8(high), _mm512_cvtepi32_epi8(low));
    if (bits == 8) {
        _mm256_storeu_si256((__m256i*)(to + at), q);
    } else {
        const __m256i apart = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15));
        q = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(q, apart), 0xd8);
        _mm_storeu_si128((__m128i*)(to + at / 2), _mm256_castsi256_si128(q));
        _mm_storeu_si128((__m128i*)(to + CHUNK / 2 + at / 2), _mm256_extracti128_si256(q, 1));
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
}
inline float highest(const float* x) {
    const __m512 a = _mm512_abs_ps(_mm512_loadu_ps(x)), b = _mm512_abs_ps(_mm512_loadu_ps(x + 16));
    return _mm512_reduce_max_ps(_mm512_max_ps(a, b));
}
#else
inline int quantize_block(const float* x, float back, int bits, int8_t* to, int at) {
    int total = 0;
    for (int i = 0; i < BLOCK; i++) {
        const int q = int(std::nearbyintf(x[i] * back));
        total += q;
        to[placed(at + i, bits)] = int8_t(q);
    }
    return total;
}
inline float highest(const float* x) {
    float most = 0;
    for (int i = 0; i < BLOCK; i++) most = std::fabs(x[i]) > most ? std::fabs(x[i]) : most;
    return most;
}
#endif

template <class T> void quantize_row(const T* x, int64_t inputs, int bits, const Inputs& to) {
    float block[BLOCK] = {};
    for (int64_t start = 0, b = 0; start < inputs; start += BLOCK, b++) {
        const int count = int(inputs - start < BLOCK ? inputs - start : BLOCK);
        if (count < BLOCK) std::memset(block, 0, sizeof block);
        widen_all(x + start, count, block);
        const float most = highest(block), back = most > 0 ? 127 / most : 0;
        to.scale[b] = most / 127;
        to.sum[b] = float(
            quantize_block(block, back, bits, to.q + start / CHUNK * CHUNK, int(start % CHUNK)));
    }
}

#if ENFOLD_AVX512
// The same as int16.
template <class T> void shorten_row(const T* x, int64_t inputs, const Inputs& to) {
    float block[BLOCK] = {};
    auto* q = (int16_t*)to.q;
    for (int64_t start = 0, b = 0; start < inputs; start += BLOCK, b++) {
        const int count = int(inputs - start < BLOCK ? inputs - start : BLOCK);
        if (count < BLOCK) std::memset(block, 0, sizeof block);
        widen_all(x + start, count, block);
        const float most = highest(block);
        const F back = all(most > 0 ? 32767 / most : 0);
        const __m512i low = _mm512_cvtps_epi32(load(block) * back);
        const __m512i high = _mm512_cvtps_epi32(load(block + 16) * back);
        _mm256_storeu_si256((__m256i*)(q + start), _mm512_cvtsepi32_epi16(low));
        _mm256_storeu_si256((__m256i*)(q + start + 16), _mm512_cvtsepi32_epi16(high));
        to.scale[b] = most / 32767;
        to.sum[b] = float(_mm512_reduce_add_epi32(_mm512_add_epi32(low, high)));
    }
}

// A row of signed bytes times N rows of int16, less `off`: y[n].
template <int N>
void dots_of_shorts(const uint8_t* q, int64_t inputs, const Inputs* x, float* const* both,
                    const F* off, float* y) {
    F sums[2][N];
    for (int n = 0; n < N; n++) sums[0][n] = sums[1][n] = zero();
    auto step = [&](__m256i bytes, int64_t i, int odd) {
        const __m512i wide = _mm512_cvtepi8_epi16(bytes);
#pragma GCC unroll 4
        for (int n = 0; n < N; n++) {
            const __m512i given = _mm512_loadu_si512((const int16_t*)x[n].q + i);
            const F found = _mm512_cvtepi32_ps(_mm512_madd_epi16(wide, given));
            sums[odd][n] = fma(found, all(both[n][i / BLOCK]), sums[odd][n]);
        }
    };
    int64_t i = 0;
    for (; i + 64 <= inputs; i += 64) {
        _mm_prefetch((const char*)(q + i + AHEAD), _MM_HINT_T0);
        step(_mm256_loadu_si256((const __m256i*)(q + i)), i, 0);
        step(_mm256_loadu_si256((const __m256i*)(q + i + 32)), i + 32, 1);
    }
    for (; i < inputs; i += 32) {
        const int count = int(inputs - i < 32 ? inputs - i : 32);
        step(_mm256_maskz_loadu_epi8(__mmask32(~0u >> (32 - count)), q + i), i, 0);
    }
    for (int n = 0; n < N; n++) y[n] = total(sums[0][n] + sums[1][n] - off[n]);
}
#endif

// How scales of groups become those of blocks.  run: blocks of a group if that is 1, 2, 4, 8 or a
// multiple of 16, else 0; group [B]: the group of each block.
struct Spread {
    const int32_t* group;
    int64_t blocks;
    int run;
};

// For a row of q and some rows of x: scale * xs of each block into both[n], and the part of the sum
// that goes off for zeros into off[n].  wide: the row's scales, readable 16 further; signs: how much
// more zeros are than those of q as it is taken.
inline void combine(const Groups& w, int64_t row, const Spread& spread, const float* wide,
                    const Inputs* x, int rows, float signs, float* const* both, F* off) {
    const uint8_t* zeros = w.zeros ? w.zeros + row * w.groups : nullptr;
    for (int n = 0; n < rows; n++) off[n] = zero();
    int64_t b = 0;
#if ENFOLD_AVX512
    if (spread.run) {
        F z = all(w.middle() - signs);
        __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        lane = _mm512_srlv_epi32(lane, _mm512_set1_epi32(__builtin_ctz(unsigned(spread.run))));
        const int step = spread.run < 16 ? 16 / spread.run : 1;
        for (; b + 16 <= spread.blocks; b += 16) {
            const int64_t g = b / spread.run;
            const F s = _mm512_permutexvar_ps(lane, load(wide + g));
            if (zeros) {
                const __m128i some = _mm_maskz_loadu_epi8(__mmask16((1u << step) - 1), zeros + g);
                z = _mm512_permutexvar_ps(lane, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(some)));
                z = z - signs;
            }
            for (int n = 0; n < rows; n++) {
                const F scale = s * load(x[n].scale + b);
                store(both[n] + b, scale);
                off[n] = fma(scale * z, load(x[n].sum + b), off[n]);
            }
        }
    }
#endif
    float s[LANES], each[LANES];
    for (; b < spread.blocks; b += LANES) {
        const int count = int(spread.blocks - b < LANES ? spread.blocks - b : LANES);
        for (int i = 0; i < LANES; i++) {
            const int32_t g = spread.group[b + (i < count ? i : 0)];
            s[i] = i < count ? wide[g] : 0;
            each[i] = (zeros ? float(zeros[g]) : w.middle()) - signs;
        }
        for (int n = 0; n < rows; n++) {
            const F scale = load(s) * load(x[n].scale + b);
            store(both[n] + b, scale);
            off[n] = fma(scale * load(each), load(x[n].sum + b), off[n]);
        }
    }
}

#if ENFOLD_BF16
// Lane l of a chunk of 4 bits holds inputs 8 l to 8 l + 7: four lanes a block.
inline __m512 spread4(const float* both) {
    const __m512i lane = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    return _mm512_permutexvar_ps(lane, _mm512_castps128_ps512(_mm_loadu_ps(both)));
}

// Lane l of half a chunk of 8 bits holds inputs 4 l to 4 l + 3: eight lanes a block.
inline __m512 spread8(const float* both) {
    const __m512i lane = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m128i two = _mm_loadl_epi64((const __m128i*)both);
    return _mm512_permutexvar_ps(lane, _mm512_castps128_ps512(_mm_castsi128_ps(two)));
}

// 64 bytes of q times N rows of x.
template <int N, int BITS>
inline void step(__m512i v, const Inputs* x, int64_t at, float* const* both, __m512* sums) {
    const __m512i low = _mm512_set1_epi8(15), none = _mm512_setzero_si512();
    const __m512i even = _mm512_and_si512(v, low);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
    const int64_t k = at * 8 / BITS, b = k / BLOCK;
#pragma GCC unroll 4
    for (int n = 0; n < N; n++) {
        const int8_t* xq = x[n].q + k;
        if constexpr (BITS == 4) {
            __m512i product = _mm512_dpbusd_epi32(none, even, _mm512_load_si512(xq));
            product = _mm512_dpbusd_epi32(product, odd, _mm512_load_si512(xq + 64));
            sums[n] = fma(_mm512_cvtepi32_ps(product), spread4(both[n] + b), sums[n]);
        } else {
            const __m512i product = _mm512_dpbusd_epi32(none, v, _mm512_load_si512(xq));
            sums[n] = fma(_mm512_cvtepi32_ps(product), spread8(both[n] + b), sums[n]);
        }
    }
}

// A row of q times N rows of x, less `off`: y[n].
template <int N, int BITS>
void dots(const uint8_t* q, int64_t inputs, const Inputs* x, float* const* both, const F* off,
          float* y) {
    __m512 sums[N];
    for (int n = 0; n < N; n++) sums[n] = zero();
    const int64_t bytes = inputs * BITS / 8;
    int64_t at = 0;
    for (; at + 64 <= bytes; at += 64) {
        _mm_prefetch((const char*)(q + at + AHEAD), _MM_HINT_T0);
        step<N, BITS>(_mm512_loadu_si512(q + at), x, at, both, sums);
    }
    if (at < bytes)
        step<N, BITS>(_mm512_maskz_loadu_epi8((1ull << (bytes - at)) - 1, q + at), x, at, both,
                      sums);
    for (int n = 0; n < N; n++) y[n] = total(sums[n] - off[n]);
}
#else
#if ENFOLD_AVX2
// A whole block: q from its first byte, x from place `at` of its chunk.
template <int BITS> int block_dot(const uint8_t* q, const int8_t* chunk, int at) {
    __m256i product;
    if constexpr (BITS == 4) {
        const __m128i v = _mm_loadu_si128((const __m128i*)q), low = _mm_set1_epi8(15);
        const __m256i both =
            _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(v, 4), low), _mm_and_si128(v, low));
        const __m256i x =
            _mm256_set_m128i(_mm_loadu_si128((const __m128i*)(chunk + CHUNK / 2 + at / 2)),
                             _mm_loadu_si128((const __m128i*)(chunk + at / 2)));
        product = _mm256_madd_epi16(_mm256_maddubs_epi16(both, x), _mm256_set1_epi16(1));
    } else {  // of bytes up to 255 sums of pairs would not fit 16 bits
        product = _mm256_setzero_si256();
        for (int i = 0; i < BLOCK; i += 16) {
            const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i*)(q + i)));
            const __m256i b =
                _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(chunk + at + i)));
            product = _mm256_add_epi32(product, _mm256_madd_epi16(a, b));
        }
    }
    __m128i s =
        _mm_add_epi32(_mm256_castsi256_si128(product), _mm256_extracti128_si256(product, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}
#endif

template <int BITS> int part_dot(const uint8_t* q, const int8_t* chunk, int at, int count) {
#if ENFOLD_AVX2
    if (count == BLOCK) return block_dot<BITS>(q, chunk, at);
#endif
    int total = 0;
    for (int i = 0; i < count; i++) {
        const int value = BITS == 8 ? q[i] : (q[i / 2] >> (4 * (i & 1))) & 15;
        total += value * chunk[placed(at + i, BITS)];
    }
    return total;
}

template <int N, int BITS>
void dots(const uint8_t* q, int64_t inputs, const Inputs* x, float* const* both, const F* off,
          float* y) {
    for (int n = 0; n < N; n++) {
        float found = 0;
        for (int64_t start = 0, b = 0; start < inputs; start += BLOCK, b++) {
            const int count = int(inputs - start < BLOCK ? inputs - start : BLOCK);
            found += both[n][b] *
                     float(part_dot<BITS>(q + start * BITS / 8, x[n].q + start / CHUNK * CHUNK,
                                          int(start % CHUNK), count));
        }
        y[n] = found - total(off[n]);
    }
}
#endif

#if ENFOLD_AVX512
inline void some_shorts(int rows, const uint8_t* q, int64_t inputs, const Inputs* x,
                        float* const* both, const F* off, float* y) {
    if (rows == 1) dots_of_shorts<1>(q, inputs, x, both, off, y);
    else if (rows == 2) dots_of_shorts<2>(q, inputs, x, both, off, y);
    else if (rows == 3) dots_of_shorts<3>(q, inputs, x, both, off, y);
    else dots_of_shorts<4>(q, inputs, x, both, off, y);
}
#endif

template <int BITS>
void some_dots(int rows, const uint8_t* q, int64_t inputs, const Inputs* x, float* const* both,
               const F* off, float* y) {
    if (rows == 1) dots<1, BITS>(q, inputs, x, both, off, y);
    else if (rows == 2) dots<2, BITS>(q, inputs, x, both, off, y);
    else if (rows == 3) dots<3, BITS>(q, inputs, x, both, off, y);
    else dots<4, BITS>(q, inputs, x, both, off, y);
}

}  // namespace enfold
