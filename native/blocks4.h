// Blocks of four bits: their 16 values, and how numbers become indices into these and back.
#pragma once

#include "vec.h"

namespace enfold {

constexpr float TINY = 1e-38f;

// Intervals between ascending bounds and the index of each.
struct Levels {
    float bounds[16];
    int32_t order[16];

    Levels(const float* from, const uint8_t* indices) {
        for (int n = 0; n < 16; n++) {
            bounds[n] = n < 15 ? from[n] : __builtin_inff();
            order[n] = indices[n];
        }
    }
    int index(float x) const {
        int found = 0;
        for (int n = 0; n < 15; n++) found += x > bounds[n];
        return order[found];
    }
};

#if ENFOLD_AVX512

template <class T> void store_exactly(T* y, F x) { store(y, x); }
inline void store_exactly(bf16* y, F x) {
    _mm256_storeu_si256((__m256i*)y, _mm512_cvtepi32_epi16(rounded(x)));
}

// Magnitudes compare as whole numbers, and nan above all of them.
template <class T> inline float largest(const T* x, int64_t count) {
    const __m512i plain = _mm512_set1_epi32(0x7fffffff);
    __m512i most = _mm512_setzero_si512();
    int64_t n = 0;
    for (; n + 16 <= count; n += 16)
        most = _mm512_max_epi32(most, _mm512_and_si512(_mm512_castps_si512(load(x + n)), plain));
    uint32_t found = uint32_t(_mm512_reduce_max_epi32(most));
    for (; n < count; n++) {
        const uint32_t bits = as_bits(to_float(x[n])) & 0x7fffffff;
        found = bits > found ? bits : found;
    }
    return as_float(found);
}

// Search in the 15 bounds: four comparisons.
inline __m512i search(F x, const F* steps, __m512i order) {
    __m512i found = _mm512_setzero_si512();
    for (int step = 0; step < 4; step++) {
        const F bound = _mm512_permutexvar_ps(found, steps[step]);
        const __mmask16 above = _mm512_cmp_ps_mask(x, bound, _CMP_GT_OQ);
        found = _mm512_mask_add_epi32(found, above, found, _mm512_set1_epi32(8 >> step));
    }
    return _mm512_permutexvar_epi32(found, order);
}

template <class T>
inline void pack_block(const T* x, int64_t block, float inverse, const Levels& levels,
                       uint8_t* out) {
    F steps[4];  // the bound that lies 8, 4, 2, 1 intervals above
    for (int step = 0; step < 4; step++) {
        float shifted[16];
        for (int n = 0; n < 16; n++) {
            const int place = n + (8 >> step) - 1;
            shifted[n] = levels.bounds[place < 15 ? place : 15];
        }
        steps[step] = _mm512_loadu_ps(shifted);
    }
    const __m512i order = _mm512_loadu_si512(levels.order);
    const F scale = all(inverse);
    for (int64_t n = 0; n < block; n += 16) {
        const __m512i found = search(load(x + n) * scale, steps, order);
        const __m512i pairs =
            _mm512_or_si512(_mm512_slli_epi64(found, 4), _mm512_srli_epi64(found, 32));
        _mm_storel_epi64((__m128i*)(out + n / 2), _mm512_cvtepi64_epi8(pairs));
    }
}

// To 16 bits: the products of the values are rounded once, then looked up.
template <class T>
inline int64_t look_up(const uint8_t* packed, int64_t count, float scale, const float* values,
                       T* out) {
    alignas(64) T products[16];
    store_exactly(products, load(values) * scale);
    const __m512i table = _mm512_broadcast_i64x4(_mm256_load_si256((const __m256i*)products));
    int64_t n = 0;
    for (; n + 32 <= count; n += 32) {
        const __m512i bytes =
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(packed + n / 2)));
        const __m512i index =
            _mm512_or_si512(_mm512_srli_epi32(bytes, 4), _mm512_slli_epi32(bytes, 16));
        _mm512_storeu_si512(out + n, _mm512_permutexvar_epi16(index, table));
    }
    return n;
}
inline int64_t look_up(const uint8_t*, int64_t, float, const float*, float*) { return 0; }

template <class T>
inline void unpack_block(const uint8_t* packed, int64_t count, float scale, const float* values,
                         T* out) {
    const F table = _mm512_loadu_ps(values), times = all(scale);
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    int64_t n = look_up(packed, count, scale, values, out);
    for (; n + 32 <= count; n += 32) {
        const __m512i bytes =
            _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(packed + n / 2)));
        const F first = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4), table);
        const F second = _mm512_permutexvar_ps(bytes, table);
        store_exactly(out + n, _mm512_permutex2var_ps(first, low, second) * times);
        store_exactly(out + n + 16, _mm512_permutex2var_ps(first, high, second) * times);
    }
    for (; n < count; n++)
        from_float(out + n, values[packed[n / 2] >> (n % 2 ? 0 : 4) & 15] * scale);
}

#else

template <class T> inline float largest(const T* x, int64_t count) {
    uint32_t found = 0;
    for (int64_t n = 0; n < count; n++) {
        const uint32_t bits = as_bits(to_float(x[n])) & 0x7fffffff;
        found = bits > found ? bits : found;
    }
    return as_float(found);
}

template <class T>
inline void pack_block(const T* x, int64_t block, float inverse, const Levels& levels,
                       uint8_t* out) {
    for (int64_t n = 0; n < block; n += 32) {
        float unit[32];
        int32_t found[32] = {};
        for (int k = 0; k < 32; k++) unit[k] = to_float(x[n + k]) * inverse;
        for (int b = 0; b < 15; b++)
            for (int k = 0; k < 32; k++) found[k] += unit[k] > levels.bounds[b];
        for (int k = 0; k < 32; k += 2)
            out[(n + k) / 2] = uint8_t(levels.order[found[k]] << 4 | levels.order[found[k + 1]]);
    }
}

template <class T>
inline void unpack_block(const uint8_t* packed, int64_t count, float scale, const float* values,
                         T* out) {
    float scaled[16];
    for (int n = 0; n < 16; n++) scaled[n] = values[n] * scale;
    for (int64_t n = 0; n < count; n++)
        from_float(out + n, scaled[packed[n / 2] >> (n % 2 ? 0 : 4) & 15]);
}

#endif

}  // namespace enfold
