// Numbers to integers in groups: each group between its extremes, rounded to the nearest, with the
// same bits as `quant/groups.py` computes.
//
// O out, I in, G groups, S inputs of a group
#include <cmath>

#include "groups.h"
#include "threads.h"

namespace enfold {
namespace {

constexpr int SIDE = 16;

struct Range {
    float low, high;
};

// The smallest and largest of n numbers, and zero.
Range range(const float* x, int64_t n) {
    float low[SIDE] = {}, high[SIDE] = {};
    int64_t i = 0;
    for (; i + SIDE <= n; i += SIDE)
        for (int j = 0; j < SIDE; j++) {
            low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
            high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
        }
    for (; i < n; i++) {
        low[0] = x[i] < low[0] ? x[i] : low[0];
        high[0] = x[i] > high[0] ? x[i] : high[0];
    }
    Range found{0, 0};
    for (int j = 0; j < SIDE; j++) {
        found.low = low[j] < found.low ? low[j] : found.low;
        found.high = high[j] > found.high ? high[j] : found.high;
    }
    return found;
}

void round_to(const float* x, int64_t n, float scale, float zero, float top, uint8_t* q) {
    for (int64_t i = 0; i < n; i++) {
        float value = std::nearbyint(x[i] / scale) + zero;
        value = value > 0 ? value : 0;
        value = value < top ? value : top;
        q[i] = uint8_t(int32_t(value));
    }
}

template <class S> float rounded(S* to, float scale) {
    from_float(to, scale);
    if (to_float(*to) == 0) from_float(to, 1.0f);
    return to_float(*to);
}

template <class T, class S>
void quantize(const T* x, int64_t outputs, int64_t inputs, int64_t size, int bits, bool symmetric,
              uint8_t* packed, int64_t row_bytes, S* scales, uint8_t* zeros, int threads) {
    const int64_t groups = inputs / size;
    const float top = float((1 << bits) - 1);
    parallel(outputs, 32768 / (inputs + 1) + 1, threads, [&](int64_t begin, int64_t end) {
        static thread_local Scratch numbers, whole;
        float* row = numbers.get<float>(inputs);
        uint8_t* q = whole.get<uint8_t>(inputs + 1);
        for (int64_t o = begin; o < end; o++) {
            widen_all(x + o * inputs, inputs, row);
            for (int64_t g = 0; g < groups; g++) {
                Range found = range(row + g * size, size);
                if (symmetric) {
                    found.high = -found.low > found.high ? -found.low : found.high;
                    found.low = -found.high;
                }
                const float scale =
                    rounded(scales + o * groups + g, (found.high - found.low) / top);
                float zero = float(1 << (bits - 1));
                if (!symmetric) {
                    zero = std::nearbyint(-found.low / scale);
                    zero = zero < 0 ? 0 : zero > top ? top : zero;
                    zeros[o * groups + g] = uint8_t(zero);
                }
                round_to(row + g * size, size, scale, zero, top, q + g * size);
            }
            uint8_t* to = packed + o * row_bytes;
            const int64_t bytes = (inputs * bits + 7) / 8;
            q[inputs] = 0;
            if (bits == 8) std::memcpy(to, q, size_t(bytes));
            else
                for (int64_t i = 0; i < bytes; i++) to[i] = uint8_t(q[2 * i] | q[2 * i + 1] << 4);
            std::memset(to + bytes, 0, size_t(row_bytes - bytes));
        }
    });
}

}  // namespace
}  // namespace enfold

using namespace enfold;

// x [O, I] -> packed [O, row_bytes], scales [O, G] of x's kind (0 fp32, 1 bf16, 2 fp16), zeros [O, G]
// or null for symmetric groups of `size` inputs.  bits: 4 or 8.
ENFOLD void enfold_groups_quantize(const void* x, int kind, int64_t outputs, int64_t inputs,
                                   int64_t size, int bits, uint8_t* packed, int64_t row_bytes,
                                   void* scales, uint8_t* zeros, int threads) {
    const auto as = [&](auto* from, auto* to) {
        quantize(from, outputs, inputs, size, bits, zeros == nullptr, packed, row_bytes, to, zeros,
                 threads);
    };
    if (kind == 0) as(static_cast<const float*>(x), static_cast<float*>(scales));
    else if (kind == 1) as(static_cast<const bf16*>(x), static_cast<bf16*>(scales));
    else as(static_cast<const f16*>(x), static_cast<f16*>(scales));
}
