// Rows of activations in the form that products take.
#pragma once

#include "dot.h"
#include "scratch.h"
#include "threads.h"

namespace enfold {

#if ENFOLD_BF16
using Bf16 = Pairs;
#else
using Bf16 = Wide<bf16>;
#endif

// Rows of x as numbers of type X with zeros behind: x itself where it is so already.
template <class T, class X> struct Rows {
    const T* x;
    int64_t ldx, k;
    int threads;
    bool plain(int64_t granules) const {
        return std::is_same<T, X>::value && k * int64_t(sizeof(T)) == granules * 4;
    }
    int64_t pitch(int64_t granules) const {
        return plain(granules) ? ldx * int64_t(sizeof(T)) / 4 : granules;
    }
    const float* operator()(int64_t first, int64_t rows, int64_t granules, Scratch& scratch) const {
        if (plain(granules)) return (const float*)(x + first * ldx);
        auto* to = scratch.get<float>(rows * granules);
        const int64_t wide = granules * 4 / int64_t(sizeof(X));
        parallel(rows, 16, threads, [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; r++) {
                X* row = (X*)to + r * wide;
                convert(x + (first + r) * ldx, row);
                std::memset((void*)(row + k), 0, size_t(wide - k) * sizeof(X));
            }
        });
        return to;
    }
    void convert(const T* from, T* to) const { std::memcpy((void*)to, from, size_t(k) * sizeof(T)); }
    template <class Y> void convert(const T* from, Y* to) const {
        int64_t i = 0;
        for (; i + LANES <= k; i += LANES) store(to + i, load(from + i));
        if (i < k) store(to + i, load(from + i, int(k - i)), int(k - i));
    }
};

}  // namespace enfold
