// Rows of activations in the form that products take.
#pragma once

#include <type_traits>

#include "scratch.h"
#include "threads.h"
#include "vec.h"

namespace enfold {

template <class T> void convert(const T* from, int64_t count, T* to) {
    std::memcpy((void*)to, from, size_t(count) * sizeof(T));
}
template <class T, class X> void convert(const T* from, int64_t count, X* to) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(to + i, load(from + i));
    if (i < count) store(to + i, load(from + i, int(count - i)), int(count - i));
}

// Rows of x as numbers of type X with zeros behind: x itself where it is so already.
template <class T, class X> struct Rows {
    const T* x;
    int64_t ldx, k;
    int threads;
    bool plain(int64_t granules) const {
        return std::is_same<T, X>::value && k * int64_t(sizeof(T)) == granules * 4 &&
               ldx * sizeof(T) % 4 == 0;
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
                convert(x + (first + r) * ldx, k, row);
                std::memset((void*)(row + k), 0, size_t(wide - k) * sizeof(X));
            }
        });
        return to;
    }
};

}  // namespace enfold
