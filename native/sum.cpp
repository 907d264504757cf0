// The sum of squares of fp32 numbers: a check that the library runs, and with how many threads.
#include "api.h"
#include "threads.h"

ENFOLD double enfold_square_sum(const float* x, int64_t count, int threads) {
    const int64_t grain = 1024, pieces = (count + grain - 1) / grain;
    double total = 0;
#pragma omp parallel for num_threads(threads) reduction(+ : total) if (threads > 1 && pieces > 1)
    for (int64_t piece = 0; piece < pieces; piece++) {
        const int64_t end = (piece + 1) * grain < count ? (piece + 1) * grain : count;
        for (int64_t i = piece * grain; i < end; i++) total += double(x[i]) * x[i];
    }
    return total;
}
