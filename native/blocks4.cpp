// Four-bit blocks (NF4, FP4) as bitsandbytes stores them: the first number of a byte is in its upper
// half; number n belongs to block n / block, whose largest magnitude is absmax[n / block].
//
// enfold_blocks4_quantize     numbers -> packed, absmax, with the bits of bitsandbytes
// enfold_blocks4_dequantize   packed, absmax -> numbers
// enfold_blocks4_multiply     few rows of x times a packed weight [O, I]
// enfold_blocks4_many         many rows, in bf16
#include <vector>

#include "blocks4_dot.h"
#include "gemm.h"
#include "rows.h"

namespace enfold {
namespace {

// The scales of a weight: fp32, or indices into a map times scales of their own, plus an offset.
struct Scales {
    const float* absmax;
    const uint8_t* indices;
    const float* outer;
    const float* map;
    float offset;
    int64_t group;

    float one(int64_t n) const {
        if (!indices) return absmax[n];
        const float product = map[indices[n]] * outer[n / group];
        return product + offset;
    }
    // `count` of them from `first`; `room` is used where they have to be computed.
    const float* read(int64_t first, int64_t count, float* room) const {
        if (!indices) return absmax + first;
        for (int64_t n = 0; n < count; n++) room[n] = one(first + n);
        return room;
    }
};

template <class T>
void quantize(const T* x, int64_t count, int64_t block, const Levels& levels, uint8_t* packed,
              float* absmax, int threads) {
    const int64_t whole = count / block, left = count % block;
    parallel(whole, 1 + 65536 / block, threads, [&](int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; b++) {
            const float most = largest(x + b * block, block);
            absmax[b] = most;
            const float inverse = 1.0f / (most < TINY ? TINY : most);
            pack_block(x + b * block, block, inverse, levels, packed + b * block / 2);
        }
    });
    if (!left) return;
    const T* last = x + whole * block;  // divided, not multiplied by the inverse
    float most = largest(last, left);
    most = most < TINY ? TINY : most;
    absmax[whole] = most;
    uint8_t* out = packed + whole * block / 2;
    for (int64_t n = 0; n < left; n += 2) {
        const int first = levels.index(to_float(last[n]) / most);
        const int second =
            n + 1 < left ? levels.index(to_float(last[n + 1]) / most) : levels.index(0.0f);
        out[n / 2] = uint8_t(first << 4 | second);
    }
}

template <class T>
void dequantize(const uint8_t* packed, const float* absmax, const float* values, int64_t block,
                int64_t start, int64_t count, T* out, int threads) {
    const uint8_t* from = packed + start / 2;
    const float* scales = absmax + start / block;
    parallel((count + block - 1) / block, 1 + 32768 / block, threads, [&](int64_t b, int64_t end) {
        for (; b < end; b++) {
            const int64_t size = count - b * block < block ? count - b * block : block;
            unpack_block(from + b * block / 2, size, scales[b], values, out + b * block);
        }
    });
}

// y [M, O] = x [M, I] W^T + bias; I is a multiple of 64 and of block >= 64.
template <class T>
void multiply(const T* x, int64_t rows, int64_t inputs, int64_t outputs, const uint8_t* packed,
              int64_t block, const Scales& scales, const float* values, const float* bias, T* out,
              bool narrow, int threads) {
    const int64_t per_row = inputs / block;
    Arranged arranged(x, rows, inputs, narrow);
    parallel(outputs, 1 + 65536 / inputs, threads, [&](int64_t begin, int64_t end) {
        std::vector<float> room(scales.indices ? size_t(per_row) : 0);
        Multiplier products{arranged, inputs, block, values};
        float sums[MOST_ROWS];
        for (int64_t o = begin; o < end; o++) {
            const float* own = scales.read(o * per_row, per_row, room.data());
            for (int64_t row = 0; row < rows; row += MOST_ROWS) {
                const int height = int(rows - row < MOST_ROWS ? rows - row : MOST_ROWS);
                products(row, height, packed + o * inputs / 2, own, sums);
                for (int m = 0; m < height; m++)
                    from_float(out + (row + m) * outputs + o, sums[m] + (bias ? bias[o] : 0.0f));
            }
        }
    });
}

#if ENFOLD_BF16
// The numbers of a packed weight.
struct Unpacked {
    const uint8_t* packed;
    int64_t block;
    const Scales& scales;
    const float* values;

    const bf16* operator()(const Weight& weight, int64_t row, int64_t first, int64_t count,
                           bf16* room) const {
        const int64_t begin = row * weight.stride + first, end = begin + count;
        for (int64_t n = begin, b = begin / block; n < end; b++) {
            const int64_t some = smaller(end, (b + 1) * block) - n;
            unpack_block(packed + n / 2, some, scales.one(b), values, room + (n - begin));
            n += some;
        }
        return room;
    }
    void ask(const Weight& weight, int64_t row, int64_t first, int64_t count) const {
        ask_for(packed + (row * weight.stride + first) / 2, count / 2);
    }
};
#endif

}  // namespace
}  // namespace enfold

using namespace enfold;

ENFOLD void enfold_blocks4_quantize(const void* x, int kind, int64_t count, int64_t block,
                                    const float* bounds, const uint8_t* order, uint8_t* packed,
                                    float* absmax, int threads) {
    const Levels levels(bounds, order);
    if (kind == 0) quantize((const float*)x, count, block, levels, packed, absmax, threads);
    if (kind == 1) quantize((const bf16*)x, count, block, levels, packed, absmax, threads);
    if (kind == 2) quantize((const f16*)x, count, block, levels, packed, absmax, threads);
}

ENFOLD void enfold_blocks4_dequantize(const uint8_t* packed, const float* absmax,
                                      const float* values, int64_t block, int64_t start,
                                      int64_t count, void* out, int kind, int threads) {
    if (kind == 0) dequantize(packed, absmax, values, block, start, count, (float*)out, threads);
    if (kind == 1) dequantize(packed, absmax, values, block, start, count, (bf16*)out, threads);
    if (kind == 2) dequantize(packed, absmax, values, block, start, count, (f16*)out, threads);
}

ENFOLD void enfold_blocks4_multiply(const void* x, int kind, int64_t rows, int64_t inputs,
                                    int64_t outputs, const uint8_t* packed, int64_t block,
                                    const float* absmax, const uint8_t* indices, const float* outer,
                                    const float* map, float offset, int64_t group,
                                    const float* values, const float* bias, void* out, int narrow,
                                    int threads) {
    const Scales scales{absmax, indices, outer, map, offset, group};
    if (kind == 0)
        multiply((const float*)x, rows, inputs, outputs, packed, block, scales, values, bias,
                 (float*)out, narrow, threads);
    if (kind == 1)
        multiply((const bf16*)x, rows, inputs, outputs, packed, block, scales, values, bias,
                 (bf16*)out, narrow, threads);
    if (kind == 2)
        multiply((const f16*)x, rows, inputs, outputs, packed, block, scales, values, bias,
                 (f16*)out, narrow, threads);
}

#if ENFOLD_BF16
// x, bias [O] or null and out in bf16; some rows of the weight at a time become numbers in a cache.
ENFOLD void enfold_blocks4_many(const bf16* x, int64_t rows, int64_t inputs, int64_t outputs,
                                const uint8_t* packed, int64_t block, const float* absmax,
                                const uint8_t* indices, const float* outer, const float* map,
                                float offset, int64_t group, const float* values, const bf16* bias,
                                bf16* out, int threads) {
    const Scales scales{absmax, indices, outer, map, offset, group};
    const Weight weight{nullptr, bias, nullptr, outputs, inputs};
    gemm<Way<bf16>>(&weight, 1, Rows<bf16, Way<bf16>::X>{x, inputs, inputs, threads}, rows, inputs,
                    Floats<bf16>{out, rows}, threads, Unpacked{packed, block, scales, values});
}
#endif
