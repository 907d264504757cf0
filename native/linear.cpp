// y = x W^T + bias for fp32, bf16 and fp16, sums in fp32, straight from weights [O, I].
#include "gemm.h"
#include "rows.h"

namespace enfold {
namespace {

template <class D, class T>
void linear(const Weight* weights, int count, const T* x, int64_t m, int64_t k, int64_t ldx, T* y,
            int threads) {
    using X = typename D::X;
    const Rows<T, X> rows{x, ldx, k, threads};
    const Floats<T> out{y, m};
    if (m > few<D>()) return gemm<D>(weights, count, rows, m, k, out, threads);
    static thread_local Scratch scratch;
    const int64_t granules = round_up(k * int64_t(sizeof(X)), 64) / 4;
    const auto* given = (const X*)rows(0, m, granules, scratch);
    const int64_t pitch = rows.pitch(granules) * 4 / int64_t(sizeof(X));
    gemv<D>(weights, count, given, pitch, m, k, out, threads);
}

}  // namespace
}  // namespace enfold

using namespace enfold;

// NAME: several weights, whose results stand one after the other in y; NAME_one: one weight.
#define LINEAR(NAME, TYPE)                                                                     \
    ENFOLD void NAME(const Weight* weights, int count, const void* x, int64_t m, int64_t k,    \
                     int64_t ldx, void* y, int threads) {                                      \
        linear<Way<TYPE>>(weights, count, static_cast<const TYPE*>(x), m, k, ldx,              \
                          static_cast<TYPE*>(y), threads);                                     \
    }                                                                                          \
    ENFOLD void NAME##_one(const void* weight, const void* bias, int64_t rows, int64_t stride, \
                           const void* x, int64_t m, int64_t k, int64_t ldx, void* y,          \
                           int threads) {                                                      \
        const Weight one{weight, bias, nullptr, rows, stride};                                 \
        NAME(&one, 1, x, m, k, ldx, y, threads);                                               \
    }

LINEAR(enfold_linear_f32, float)
LINEAR(enfold_linear_bf16, bf16)
LINEAR(enfold_linear_f16, f16)
