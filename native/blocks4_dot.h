// Products of few rows with weights in blocks of four bits, with AVX512 and without.
//
// In fp32 the values are looked up as they are.  Where products of bf16 are asked for, rows of x
// become int16, each 64 numbers with a scale, and so do the 16 values; sums of products are exact:
//
//     y[o] = sum over 64s h of  absmax[o, h] * xs[h] * (sum of value * x)
//
// The largest number of a 64 is 32,767 and the largest value 8,191, so that the eight products that
// a lane adds up fit 32 bits.  A value is off by at most 2^-14 and a number by 2^-16 of the largest
// in its 64, where bf16 would be off by 2^-9 of each.
#pragma once

#include <memory>

#include "blocks4.h"

namespace enfold {
namespace {  // of one source: compilers put what is called once where it is called

constexpr int MOST_ROWS = 4;  // of x at a time

#if ENFOLD_AVX512

constexpr int CHUNK = 128;   // numbers of a weight in 64 bytes
constexpr int AHEAD = 8192;  // bytes of the weight that are asked for in advance
constexpr float TOP_NUMBER = 32767, TOP_VALUE = 8191, LEAST = 1e-30f;

// Rows of x in the order in which the numbers of a weight come out of its bytes.
//
// fp32: of a chunk, vector s holds the numbers 8 lane + (s ^ 1), those of bits 4 s of each 32.
// int16: vector s holds 4 lane + (s ^ 1), those of bits 4 s of each 16.
struct Arranged {
    int64_t chunks, vectors;  // of a row
    bool whole;               // int16
    std::unique_ptr<uint8_t[]> room;
    std::unique_ptr<float[]> scales;  // of each 64, two a chunk
    uint8_t* start;

    template <class T>
    Arranged(const T* x, int64_t rows, int64_t inputs, bool narrow)
            : chunks((inputs + CHUNK - 1) / CHUNK), vectors(chunks * (narrow ? 4 : 8)), whole(narrow) {
        room.reset(new uint8_t[size_t(rows * vectors * 64 + 64)]);
        start = room.get() + (64 - (uintptr_t(room.get()) & 63)) % 64;
        if (whole) scales.reset(new float[size_t(rows * chunks * 2)]);
        for (int64_t row = 0; row < rows; row++)
            for (int64_t c = 0; c < chunks; c++) {
                const T* from = x + row * inputs + c * CHUNK;
                const int64_t left = inputs - c * CHUNK;
                uint8_t* to = start + (row * vectors + c * vectors / chunks) * 64;
                if (whole) integers(from, left, (__m512i*)to, scales.get() + (row * chunks + c) * 2);
                else floats(from, left, (float*)to);
            }
    }

    const uint8_t* at(int64_t row) const { return start + row * vectors * 64; }
    const float* scales_at(int64_t row) const { return scales.get() + row * chunks * 2; }

 private:
    template <class T>
    static void floats(const T* x, int64_t left, float* to) {
        for (int s = 0; s < 8; s++)
            for (int lane = 0; lane < 16; lane++) {
                const int n = lane * 8 + (s ^ 1);
                to[s * 16 + lane] = n < left ? to_float(x[n]) : 0.0f;
            }
    }

    template <class T>
    static __m512i thirty_two(const T* x, F back) {
        const __m512i low = _mm512_cvtps_epi32(load(x) * back);
        const __m512i high = _mm512_cvtps_epi32(load(x + 16) * back);
        return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtsepi32_epi16(low)),
                                                            _mm512_cvtsepi32_epi16(high), 1);
    }

    template <class T>
    static void integers(const T* x, int64_t left, __m512i* to, float* scale) {
        const __m512i some = _mm512_set_epi16(
                60, 56, 52, 48, 44, 40, 36, 32, 28, 24, 20, 16, 12, 8, 4, 0, 61, 57, 53, 49, 45, 41, 37, 33,
                29, 25, 21, 17, 13, 9, 5, 1);  // vectors 1 and 0 of a 64
        const __m512i others = _mm512_add_epi16(some, _mm512_set1_epi16(2));
        __m512i half[2][2];
        for (int h = 0; h < 2; h++) {
            const float most = left > 64 * h ? largest(x + 64 * h, 64) : 0;
            scale[h] = most < LEAST ? 0 : most / (TOP_NUMBER * TOP_VALUE);  // inf and nan stay
            const F back = all(most >= LEAST ? TOP_NUMBER / most : 0);
            const T* from = left > 64 * h ? x + 64 * h : x;
            const __m512i first = thirty_two(from, back), second = thirty_two(from + 32, back);
            half[h][0] = _mm512_permutex2var_epi16(first, some, second);
            half[h][1] = _mm512_permutex2var_epi16(first, others, second);
        }
        for (int s = 0; s < 4; s += 2) {
            _mm512_store_si512(to + s, _mm512_shuffle_i64x2(half[0][s / 2], half[1][s / 2], 0x44));
            _mm512_store_si512(to + s + 1, _mm512_shuffle_i64x2(half[0][s / 2], half[1][s / 2], 0xee));
        }
    }
};

// Of the 16 sums of a chunk the first eight belong to its first 64 numbers, the others to the rest.
inline F scale_of(const float* scales, __mmask16 second) {
    return _mm512_mask_broadcastss_ps(all(scales[0]), second, _mm_load_ss(scales + 1));
}

inline __mmask16 upper_half() {
    __mmask16 mask = 0xff00;
    __asm__("" : "+Yk"(mask));  // keeps it in its register
    return mask;
}

struct Numbers4 {  // fp32: eight vectors of x for a chunk
    static constexpr int STEP = 8;
    F table;

    explicit Numbers4(const float* values) : table(load(values)) {}
    template <int M>
    void multiply(__m512i bytes, const uint8_t* x, int64_t apart, F* found) const {
        F even[M], odd[M];
        for (int m = 0; m < M; m++) even[m] = odd[m] = zero();
#pragma GCC unroll 4
        for (int s = 0; s < 8; s += 2) {
            const F first = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4 * s), table);
            const F second = _mm512_permutexvar_ps(_mm512_srli_epi32(bytes, 4 * s + 4), table);
#pragma GCC unroll 4
            for (int m = 0; m < M; m++) {
                const float* from = (const float*)(x + m * apart + s * 64);
                even[m] = fma(first, _mm512_load_ps(from), even[m]);
                odd[m] = fma(second, _mm512_load_ps(from + 16), odd[m]);
            }
        }
        for (int m = 0; m < M; m++) found[m] = even[m] + odd[m];
    }
};

struct Integers4 {  // int16: four vectors of x for a chunk
    static constexpr int STEP = 4;
    __m512i table;

    explicit Integers4(const float* values) {
        const F found = load(values) * TOP_VALUE;
        const __m256i narrow = _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(found));
        table = _mm512_broadcast_i64x4(narrow);  // twice: five bits choose
    }
    static __m512i add(__m512i sum, __m512i a, const __m512i* b) {
#if ENFOLD_BF16
        return _mm512_dpwssd_epi32(sum, a, _mm512_load_si512(b));
#else
        return _mm512_add_epi32(sum, _mm512_madd_epi16(a, _mm512_load_si512(b)));
#endif
    }
    template <int M>
    void multiply(__m512i bytes, const uint8_t* x, int64_t apart, F* found) const {
        __m512i value[4], even[M], odd[M];
#pragma GCC unroll 4
        for (int s = 0; s < 4; s++)
            value[s] = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4 * s), table);
#pragma GCC unroll 4
        for (int m = 0; m < M; m++) {
            const auto* from = (const __m512i*)(x + m * apart);
            even[m] = _mm512_madd_epi16(value[0], _mm512_load_si512(from));
            odd[m] = _mm512_madd_epi16(value[1], _mm512_load_si512(from + 1));
            even[m] = add(even[m], value[2], from + 2);
            odd[m] = add(odd[m], value[3], from + 3);
            found[m] = _mm512_cvtepi32_ps(_mm512_add_epi32(even[m], odd[m]));
        }
    }
};

// scales [m][2 chunks]: of each 64 of a row of the weight, times those of the rows of x.
template <class Way, int M>
inline void row_products(const Way& way, const Arranged& x, int64_t row, const uint8_t* packed,
                                                  int64_t inputs, const float* scales, int64_t pitch, float* sums) {
    const __mmask16 second = upper_half();
    const int64_t whole = inputs / CHUNK, apart = x.vectors * 64;
    const uint8_t* given = x.at(row);
    F acc[M], found[M];
    for (auto& each : acc) each = zero();
    for (int64_t c = 0; c < whole; c++, packed += 64, given += Way::STEP * 64, scales += 2) {
        _mm_prefetch((const char*)(packed + AHEAD), _MM_HINT_T0);
        way.template multiply<M>(_mm512_loadu_si512(packed), given, apart, found);
        for (int m = 0; m < M; m++)
            acc[m] = fma(found[m], scale_of(scales + m * pitch, second), acc[m]);
    }
    if (inputs % CHUNK) {  // 64 more
        const __m512i bytes = _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i*)packed));
        way.template multiply<M>(bytes, given, apart, found);
        for (int m = 0; m < M; m++)
            acc[m] = fma(found[m], all(scales[m * pitch]), acc[m]);
    }
    for (int m = 0; m < M; m++) sums[m] = total(acc[m]);
}

template <class Way>
inline void some_products(const Way& way, const Arranged& x, int64_t row, int height,
                                                    const uint8_t* packed, int64_t inputs, const float* scales, int64_t pitch,
                                                    float* sums) {
    auto* run = height == 1   ? row_products<Way, 1>
                            : height == 2 ? row_products<Way, 2>
                            : height == 3 ? row_products<Way, 3>
                                                        : row_products<Way, 4>;
    run(way, x, row, packed, inputs, scales, pitch, sums);
}

// What a thread needs to multiply rows of a weight.
class Multiplier {
 public:
    Multiplier(const Arranged& given, int64_t inputs_, int64_t block, const float* values_)
            : x(given), inputs(inputs_), pitch(given.chunks * 2 + 16),
                shift(__builtin_ctzll(uint64_t(block)) - 6), values(values_),
                room(new float[size_t(pitch * MOST_ROWS)]()) {}

  // sums [m]: rows [row, row + height) of x times one row of the weight.
    void operator()(int64_t row, int height, const uint8_t* packed, const float* own, float* sums) {
        for (int m = 0; m < height; m++)
            scales(own, x.whole ? x.scales_at(row + m) : nullptr, room.get() + m * pitch);
        if (x.whole)
            some_products(Integers4(values), x, row, height, packed, inputs, room.get(), pitch, sums);
        else
            some_products(Numbers4(values), x, row, height, packed, inputs, room.get(), pitch, sums);
    }

 private:
  // Of each 64: the weight's, times those of x if there are some.
    void scales(const float* own, const float* given, float* to) const {
        const int64_t halves = inputs / 64;
        if (shift)
            for (int64_t h = 0; h < halves; h++) to[h] = own[h >> shift];
        const float* from = shift ? to : own;
        int64_t h = 0;
        for (; h + 16 <= halves; h += 16) {
            const F some = given ? load(given + h) : all(1);
            store(to + h, load(from + h) * some);
        }
        for (; h < halves; h++) to[h] = given ? from[h] * given[h] : from[h];
    }

    const Arranged& x;
    int64_t inputs, pitch;
    int shift;
    const float* values;
    std::unique_ptr<float[]> room;
};

#else

// x as fp32.
struct Arranged {
    static constexpr bool whole = false;
    int64_t inputs;
    std::unique_ptr<float[]> numbers;

    template <class T>
    Arranged(const T* x, int64_t rows, int64_t width, bool) : inputs(width) {
        numbers.reset(new float[size_t(rows * width)]);
        for (int64_t n = 0; n < rows * width; n++) numbers[n] = to_float(x[n]);
    }
    const float* at(int64_t row) const { return numbers.get() + row * inputs; }
};

struct Multiplier {
    static constexpr int STEP = 64;
    const Arranged& x;
    int64_t inputs, block;
    const float* values;

    void operator()(int64_t row, int height, const uint8_t* packed, const float* own,
                                    float* sums) const {
        for (int m = 0; m < height; m++) sums[m] = 0.0f;
        float part[STEP];
        for (int64_t n = 0; n < inputs; n += STEP) {
            unpack_block(packed + n / 2, STEP, own[n / block], values, part);
            for (int m = 0; m < height; m++) sums[m] += product(part, x.at(row + m) + n);
        }
    }

    static float product(const float* a, const float* b) {
        float sum[16] = {};
        for (int k = 0; k < STEP; k += 16)
            for (int lane = 0; lane < 16; lane++) sum[lane] += a[k + lane] * b[k + lane];
        float all = 0.0f;
        for (float each : sum) all += each;
        return all;
    }
};
#endif

}  // namespace
}  // namespace enfold
