// Weights of 4 or 8 bits in groups of inputs, and their numbers.
//
//     weight[o, i] = (q[o, i] - zero[o, g]) * scale[o, g]        g = i / (I / G)
//
// Rows of q are `row` bytes apart; of 4 bits the inputs with an even place are in the low halves.
//
// I in, O out, G groups
#pragma once

#include "scratch.h"
#include "vec.h"

namespace enfold {

enum Form { UNSIGNED = 0, SIGNED = 1, E4M3 = 2, E5M2 = 3 };

struct Groups {  // mirrored by `Groups` in src/enfold/nn/native/groups.py
    const uint8_t* q;
    const void* scales;    // [O, G]: kind 0 fp32, 1 bf16, 2 fp16
    const uint8_t* zeros;  // [O, G], or null for the middle
    int64_t outputs, inputs, groups, row;
    int32_t bits, kind, form;  // form of 8 bits: a `Form`

    // divisions of 32 bits: parts of rows ask for these as often as tiles step
    int64_t size() const { return uint32_t(inputs) / uint32_t(groups); }
    int64_t group(int64_t input) const { return uint32_t(input) / uint32_t(size()); }
    bool floats() const { return form >= E4M3; }
    float middle() const { return floats() ? 0 : float(1 << (bits - 1)); }
};

template <class T> void widen_all(const T* x, int64_t count, float* to) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(x + i));
    for (; i < count; i++) to[i] = to_float(x[i]);
}

inline float scale_of(const Groups& w, int64_t at) {
    if (w.kind == 0) return static_cast<const float*>(w.scales)[at];
    if (w.kind == 1) return to_float(static_cast<const bf16*>(w.scales)[at]);
    return to_float(static_cast<const f16*>(w.scales)[at]);
}

// The scales of a row as fp32.
inline void scales_of(const Groups& w, int64_t row, float* to) {
    const int64_t at = row * w.groups;
    if (w.kind == 0) widen_all(static_cast<const float*>(w.scales) + at, w.groups, to);
    else if (w.kind == 1) widen_all(static_cast<const bf16*>(w.scales) + at, w.groups, to);
    else widen_all(static_cast<const f16*>(w.scales) + at, w.groups, to);
}

// `count` numbers of four bits as bf16, picked by a table of sixteen; returns how many are done.
inline int64_t by_table(const uint8_t* q, int64_t count, float zero, float scale, bf16* y) {
    int64_t i = 0;
#if ENFOLD_BF16
    if (count < 32) return i;
    const __m512i place = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    const __m512 numbers = _mm512_mul_ps(
        _mm512_sub_ps(_mm512_cvtepi32_ps(place), _mm512_set1_ps(zero)), _mm512_set1_ps(scale));
    const __m512i table = _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(numbers));
    for (; i + 32 <= count; i += 32) {  // five bits of a place count, and the table is there twice
        const __m512i b = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)(q + i / 2)));
        const __m512i places = _mm512_or_si512(b, _mm512_slli_epi32(b, 12));
        _mm512_storeu_si512(y + i, _mm512_permutexvar_epi16(places, table));
    }
#else
    (void)q, (void)count, (void)zero, (void)scale, (void)y;
#endif
    return i;
}
template <class T> int64_t by_table(const uint8_t*, int64_t, float, float, T*) { return 0; }

// A byte as a number: signed ones as unsigned with the middle at 128.
inline float byte(uint8_t q, int form) {
    if (form == E5M2) return to_float(f16{uint16_t(q << 8)});  // the upper half of an fp16
    if (form == E4M3) return to_float(f16{uint16_t((q & 0x80) << 8 | (q & 0x7f) << 7)}) * 256;
    return form == SIGNED ? uint8_t(q ^ 0x80) : q;
}

// LANES of bytes.
#if ENFOLD_AVX512
inline F bytes(const uint8_t* from, int form) {
    const __m128i q = _mm_loadu_si128((const __m128i*)from);
    if (form == UNSIGNED) return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(q));
    if (form == SIGNED)
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_xor_si128(q, _mm_set1_epi8(-128))));
    const __m256i wide = _mm256_slli_epi16(_mm256_cvtepu8_epi16(q), 8);
    if (form == E5M2) return _mm512_cvtph_ps(wide);
    const __m256i sign = _mm256_and_si256(wide, _mm256_set1_epi16(-0x8000));
    const __m256i rest = _mm256_srli_epi16(_mm256_slli_epi16(wide, 1), 2);
    return _mm512_cvtph_ps(_mm256_or_si256(sign, rest)) * 256;
}
#else
inline F bytes(const uint8_t* q, int form) {
    float each[LANES];
    for (int i = 0; i < LANES; i++) each[i] = byte(q[i], form);
    return load(each);
}
#endif

// `count` numbers of a row from `first` on, which is even.
template <class T>
void numbers(const Groups& w, int64_t row, int64_t first, int64_t count, T* to) {
    const uint8_t* q = w.q + row * w.row;
    const int64_t size = w.size(), end = first + count;
    for (int64_t i = first, g = w.group(first); i < end; g++) {
        const int64_t last = smaller((g + 1) * size, end), at = row * w.groups + g;
        const float scale = scale_of(w, at), zero = w.zeros ? float(w.zeros[at]) : w.middle();
        if (w.bits == 4) {
            i += by_table(q + i / 2, last - i, zero, scale, to + (i - first));
        } else {
            for (; i + LANES <= last; i += LANES)
                store(to + (i - first), (bytes(q + i, w.form) - zero) * scale);
        }
        for (; i < last; i++) {
            const float value =
                w.bits == 8 ? byte(q[i], w.form) : float((q[i / 2] >> (4 * (i & 1))) & 15);
            from_float(to + (i - first), (value - zero) * scale);
        }
    }
}

}  // namespace enfold
