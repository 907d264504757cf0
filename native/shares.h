// Several weights as one list of shares: up to so many rows of one of them.
#pragma once

#include "threads.h"
#include "weights.h"

namespace enfold {

// work(weight, first row, rows, rows of the weights before) for shares of up to `height` rows.
template <class Work>
void shares(const Weight* weights, int count, int64_t height, int threads, const Work& work) {
    int64_t total = 0;
    for (int i = 0; i < count; i++) total += (weights[i].rows + height - 1) / height;
    parallel(total, 1, threads, [&](int64_t begin, int64_t end) {
        int64_t passed = 0, before = 0;
        for (int i = 0; i < count; i++) {
            const int64_t rows = weights[i].rows, mine = (rows + height - 1) / height;
            const int64_t last = end - passed < mine ? end - passed : mine;
            for (int64_t p = begin > passed ? begin - passed : 0; p < last; p++) {
                const int64_t left = rows - p * height;
                work(weights[i], p * height, left < height ? left : height, before);
            }
            passed += mine, before += rows;
        }
    });
}

}  // namespace enfold
