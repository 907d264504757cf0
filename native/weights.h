// What a linear kernel is given, and how sums become results.
#pragma once

#include "vec.h"

namespace enfold {

// Memory that is wanted soon.
inline void ask_for(const uint8_t* from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
}

struct Weight {           // mirrored by `Weight` in src/enfold/nn/native/linear.py
    const void* data;     // [rows, k], `stride` elements from row to row
    const void* bias;     // [rows] or null
    const float* scales;  // [rows], of int8 weights
    int64_t rows, stride;
};

// Results y [m, rows] of type T, one block per weight, one after the other.
template <class T> struct Floats {
    T* y;
    int64_t m;
    Floats shifted(int64_t rows) const { return {y + m * rows, m}; }
    void one(const Weight& weight, int64_t row, int64_t out, float sum) const {
        const T* bias = static_cast<const T*>(weight.bias);
        from_float(y + row * weight.rows + out, bias ? sum + to_float(bias[out]) : sum);
    }
    // `count` outputs from `out` on, for one row
    void many(const Weight& weight, int64_t row, int64_t out, int count, F sums) const {
        const T* bias = static_cast<const T*>(weight.bias);
        T* to = y + row * weight.rows + out;
        if (bias) sums += load(bias + out, count);
        if (count >= LANES) store(to, sums);
        else store(to, sums, count);
    }
};

// The same for int8: sums times the scale of the row and of the output.
template <class T> struct Scaled {
    T* y;
    int64_t m;
    const float* scales;  // [m], of the activations
    Scaled shifted(int64_t rows) const { return {y + m * rows, m, scales}; }
    void one(const Weight& weight, int64_t row, int64_t out, int32_t sum) const {
        const float* bias = static_cast<const float*>(weight.bias);
        const float value = float(sum) * scales[row] * weight.scales[out];
        from_float(y + row * weight.rows + out, bias ? value + bias[out] : value);
    }
    void many(const Weight& weight, int64_t row, int64_t out, int count, F sums) const {
        const float* bias = static_cast<const float*>(weight.bias);
        T* to = y + row * weight.rows + out;
        F value = from_integers(sums) * scales[row] * load(weight.scales + out, count);
        if (bias) value += load(bias + out, count);
        if (count >= LANES) store(to, value);
        else store(to, value, count);
    }
};

}  // namespace enfold
