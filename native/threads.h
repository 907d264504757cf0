// Loops over threads.  The number is torch's, and so is the pool: torch's libgomp has the plain
// name, so that both use the one that is loaded.
#pragma once

#include <cstdint>

namespace enfold {

// work(begin, end) over [0, count) in pieces of `grain`, taken by whichever thread is free.
template <class Work> void parallel(int64_t count, int64_t grain, int threads, const Work& work) {
    const int64_t pieces = (count + grain - 1) / grain;
    if (threads > pieces) threads = int(pieces);
    if (threads <= 1) {
        if (count > 0) work(int64_t(0), count);
        return;
    }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t piece = 0; piece < pieces; piece++) {
        const int64_t begin = piece * grain, end = begin + grain;
        work(begin, end < count ? end : count);
    }
}

}  // namespace enfold
