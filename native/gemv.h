// Products of few rows with several weights at once.
#pragma once

#include "dot.h"
#include "shares.h"
#include "weights.h"

namespace enfold {

// Rows [begin, end) of one weight for all m rows of x, R and four at a time.
template <class D, class Out, int R>
void rows_of(const Weight& weight, int64_t begin, int64_t end, const typename D::X* x, int64_t ldx,
             int64_t m, int64_t k, const Out& out) {
    const auto* w = static_cast<const typename D::W*>(weight.data);
    for (int64_t row = begin; row + R <= end; row += R) {
        const auto* from = w + row * weight.stride;
        auto some = [&](auto tag, int64_t first) {
            constexpr int C = decltype(tag)::value;
            typename D::Sum sums[R][C];
            dots<D, R, C>(from, weight.stride, x + first * ldx, ldx, k, sums);
            for (int c = 0; c < C; c++)
                for (int r = 0; r < R; r++) out.one(weight, first + c, row + r, sums[r][c]);
        };
        int64_t first = 0;
        for (; first + 4 <= m; first += 4) some(Number<4>(), first);
        if (m - first == 3) some(Number<3>(), first);
        if (m - first == 2) some(Number<2>(), first);
        if (m - first == 1) some(Number<1>(), first);
    }
    const int64_t rest = (end - begin) % R;
    if (R > 1 && rest) rows_of<D, Out, 1>(weight, end - rest, end, x, ldx, m, k, out);
}

// y = x W^T for every weight.  x [m, ldx] is in D's form, padded with zeros.
template <class D, class Out>
void gemv(const Weight* weights, int count, const typename D::X* x, int64_t ldx, int64_t m,
          int64_t k, const Out& out, int threads) {
    constexpr int R = 4;
    const int64_t bytes = k * int64_t(sizeof(typename D::W));
    const int64_t height = R * (1 + (64 << 10) / (R * bytes + 1));  // 64 KB or more
    shares(weights, count, height, threads,
           [&](const Weight& weight, int64_t row, int64_t rows, int64_t before) {
               rows_of<D, Out, R>(weight, row, row + rows, x, ldx, m, k, out.shifted(before));
           });
}

}  // namespace enfold
