// Many rows of activations: registers hold sums of ROWS rows of weights by two vectors of rows of
// activations.  Activations are turned so that a vector holds one 32-bit granule (a number, a pair
// of bf16 or int16, four bytes) of LANES rows; granules of weights are broadcast from a small copy
// of the rows (converted where needed, and without the conflicts of rows 4096 bytes apart).
#pragma once

#include "dot.h"
#include "scratch.h"
#include "threads.h"
#include "transpose.h"
#include "weights.h"

namespace enfold {

constexpr int WIDE = 2 * LANES;               // rows of activations in a block
constexpr int ROWS = ENFOLD_ROWS;             // of weights
constexpr int64_t DEEP = 256;                 // granules of a row that are copied at a time
constexpr int64_t SOON = 16;                  // granules of activations asked for ahead
constexpr int64_t PITCH = DEEP + 16;          // from row to row of the copy

// Granules of x [m, G] (rows `ldx` granules apart) as blocks [G, WIDE]; G is a multiple of LANES.
inline void pack(const float* x, int64_t ldx, int64_t m, int64_t granules, float* to, int threads) {
    const int64_t halves = (m + LANES - 1) / LANES;
    parallel(round_up(halves, 2), 2, threads, [&](int64_t begin, int64_t end) {
        for (int64_t half = begin; half < end; half++) {
            float* block = to + half / 2 * granules * WIDE + half % 2 * LANES;
            for (int64_t g = 0; g < granules; g += LANES) {
                F v[LANES];
                for (int i = 0; i < LANES; i++) {
                    const int64_t row = half * LANES + i;
                    v[i] = row < m ? load(x + row * ldx + g) : zero();
                }
                transpose(v);
                for (int i = 0; i < LANES; i++) store(block + (g + i) * WIDE, v[i]);
            }
        }
    });
}

// acc + x * w, for a granule w of weights in every lane.
template <class T> F apply(Wide<T>, F acc, const float* x, const float* w) {
    return fma(load(x), set1(*w), acc);
}
#if ENFOLD_BF16
inline F apply(Pairs, F acc, const float* x, const float* w) {
    return _mm512_dpbf16_ps(acc, (__m512bh)load(x), (__m512bh)set1(*w));
}
inline F apply(Bytes, F acc, const float* x, const float* w) {
    return (F)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)load(x), (__m512i)set1(*w));
}
#elif ENFOLD_AVX512
inline F apply(Bytes, F acc, const float* x, const float* w) {
    const __m512i products = _mm512_madd_epi16((__m512i)load(x), (__m512i)set1(*w));
    return (F)_mm512_add_epi32((__m512i)acc, products);
}
#elif ENFOLD_AVX2
inline F apply(Bytes, F acc, const float* x, const float* w) {
    const __m256i products = _mm256_madd_epi16((__m256i)load(x), (__m256i)set1(*w));
    return (F)_mm256_add_epi32((__m256i)acc, products);
}
#else
inline F apply(Bytes, F acc, const float* x, const float* w) {
    typedef int32_t I __attribute__((vector_size(16)));
    const I both = (I)load(x);
    int32_t pair;
    std::memcpy(&pair, w, 4);
    const I low = (both << 16) >> 16, high = both >> 16;
    return (F)((I)acc + low * int32_t(int16_t(pair)) + high * (pair >> 16));
}
#endif

template <class D> F plus(D, F a, F b) { return add(a, b); }
#if ENFOLD_AVX512
inline F plus(Bytes, F a, F b) { return (F)_mm512_add_epi32((__m512i)a, (__m512i)b); }
#elif ENFOLD_AVX2
inline F plus(Bytes, F a, F b) { return (F)_mm256_add_epi32((__m256i)a, (__m256i)b); }
#else
inline F plus(Bytes, F a, F b) {
    typedef int32_t I __attribute__((vector_size(16)));
    return (F)((I)a + (I)b);
}
#endif

// `count` elements of a row of weights as granules, and zeros up to the next whole granule.
template <class T> void copy(Wide<T>, const T* w, int64_t count, float* to) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(w + i));
    for (; i < count; i++) to[i] = to_float(w[i]);
}
template <class D, class W> void copy_raw(const W* w, int64_t count, float* to) {
    const int64_t whole = count * int64_t(sizeof(W)) / 4 * 4;
    std::memcpy(to, w, size_t(whole));
    if (const size_t rest = count * sizeof(W) - whole) {
        to[whole / 4] = 0;
        std::memcpy(to + whole / 4, (const char*)w + whole, rest);
    }
}
#if ENFOLD_BF16
inline void copy(Pairs, const bf16* w, int64_t count, float* to) { copy_raw<Pairs>(w, count, to); }
inline void copy(Bytes, const int8_t* w, int64_t count, float* to) {
    copy_raw<Bytes>(w, count, to);
}
#else
inline void copy(Bytes, const int8_t* w, int64_t count, float* to) {
    auto* wide = (int16_t*)to;
    for (int64_t i = 0; i < count; i++) wide[i] = w[i];
    if (count % 2) wide[count] = 0;
}
#endif

// What sums start from: activations that are 128 more than they are make up for it.
template <class D> float start(D, const typename D::W*, int64_t) { return 0; }
#if ENFOLD_BF16
inline float start(Bytes, const int8_t* w, int64_t k) {
    Bytes::Acc acc = Bytes::none();
    int64_t i = 0;
    for (; i + 64 <= k; i += 64) acc = Bytes::own(acc, Bytes::weight(w + i));
    if (i < k) acc = Bytes::own(acc, Bytes::weight(w + i, int(k - i)));
    const int32_t sum = -128 * _mm512_reduce_add_epi32(acc);
    float bits;
    std::memcpy(&bits, &sum, 4);
    return bits;
}
#endif

// sums [ROWS, WIDE] += w [ROWS, granules] by x [granules, WIDE], V vectors wide.
template <class D, int V>
void tile(const float* w, const float* x, int64_t granules, float* sums) {
    F acc[ROWS][V];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < V; v++) acc[r][v] = zero();
    for (int64_t g = 0; g < granules; g++) {
        for (int v = 0; v < V; v++) __builtin_prefetch(x + (g + SOON) * WIDE + v * LANES);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
            for (int v = 0; v < V; v++)
                acc[r][v] = apply(D(), acc[r][v], x + g * WIDE + v * LANES, w + r * PITCH + g);
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < V; v++) {
            float* to = sums + r * WIDE + v * LANES;
            store(to, plus(D(), load(to), acc[r][v]));
        }
}

// Sums [rows, WIDE] of `count` rows of activations from `first` on become results.
template <class Out>
void finish(const float* sums, int rows, const Weight& weight, int64_t row, int64_t first,
            int count, const Out& out) {
    for (int r = 0; r < rows; r += LANES) {
        for (int c = 0; c < count; c += LANES) {
            F v[LANES];
            for (int i = 0; i < LANES; i++)
                v[i] = r + i < rows ? load(sums + (r + i) * WIDE + c) : zero();
            transpose(v);
            const int some = rows - r < LANES ? rows - r : LANES;
            for (int i = 0; i < LANES && c + i < count; i++)
                out.many(weight, first + c + i, row + r, some, v[i]);
        }
    }
}

// Some rows of one weight, for m rows of activations packed in blocks: a part of a block of
// activations that fits the nearest cache is multiplied with all of them before the next.
template <class D, class Out>
void group(const Weight& weight, int64_t row, int64_t rows, const float* x, int64_t granules,
           int64_t m, int64_t k, int64_t first, const Out& out) {
    using W = typename D::W;
    constexpr int64_t EACH = 4 / sizeof(typename D::X);  // elements in a granule
    static thread_local Scratch copies, results;
    const int64_t blocks = (m + WIDE - 1) / WIDE, tall = round_up(rows, ROWS);
    auto* part = copies.get<float>(tall * PITCH);
    auto* sums = results.get<float>(blocks * tall * WIDE);
    const auto* w = static_cast<const W*>(weight.data) + row * weight.stride;
    for (int64_t r = 0; r < tall; r++) {
        const F begin = set1(r < rows ? start(D(), w + r * weight.stride, k) : 0);
        for (int64_t b = 0; b < blocks; b++)
            for (int v = 0; v < 2; v++) store(sums + (b * tall + r) * WIDE + v * LANES, begin);
    }
    for (int64_t r = rows; r < tall; r++) std::memset(part + r * PITCH, 0, 4 * PITCH);
    for (int64_t i = 0; i < k; i += DEEP * EACH) {
        const int64_t count = k - i < DEEP * EACH ? k - i : DEEP * EACH;
        for (int64_t r = 0; r < rows; r++)
            copy(D(), w + r * weight.stride + i, count, part + r * PITCH);
        const int64_t steps = (count + EACH - 1) / EACH;
        for (int64_t b = 0; b < blocks; b++) {
            const float* block = x + (b * granules + i / EACH) * WIDE;
            for (int64_t r = 0; r < tall; r += ROWS) {
                float* to = sums + (b * tall + r) * WIDE;
                if (m - b * WIDE > LANES) tile<D, 2>(part + r * PITCH, block, steps, to);
                else tile<D, 1>(part + r * PITCH, block, steps, to);
            }
        }
    }
    for (int64_t b = 0; b < blocks; b++) {
        const int64_t count = m - b * WIDE < WIDE ? m - b * WIDE : WIDE;
        finish(sums + b * tall * WIDE, int(rows), weight, row, first + b * WIDE, int(count), out);
    }
}

}  // namespace enfold
