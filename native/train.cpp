// What training adds to the passes of fused.cpp: dropout, and gradients, in fp32.
//
//     drop        y = x * kept / (1 - rate): its own gradient too
//     gate        d g = d y * u * act'(g), d u = d y * act(g)
//     norm        d x of RMS norms
#include "acts.h"
#include "api.h"
#include "draws.h"
#include "threads.h"

namespace enfold {

struct GateGradArgs {
    const float *gate, *up, *above;  // [n]; up or null
    float *to_gate, *to_up;          // [n]; to_up or null
    int64_t count;
    int32_t act, threads;
};

struct RmsGradArgs {
    const float *x, *weight, *above;  // [rows, dim], [dim] or null, [rows, dim]
    float* to_x;                      // [rows, dim]
    int64_t rows, dim;
    int32_t threads;
    float eps, offset;  // offset: added to the weight
};

namespace {

constexpr int64_t PIECE = 16384;  // numbers that are worth a thread

template <int act> void gate_part(const GateGradArgs& a, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += LANES) {
        const int n = int(smaller(end - i, int64_t(LANES)));
        F g = load(a.gate + i, n), above = load(a.above + i, n), slope, y = activate<act>(g, slope);
        if (a.up) {
            store(a.to_up + i, above * y, n);
            above *= load(a.up + i, n);
        }
        store(a.to_gate + i, above * slope, n);
    }
}

// y = r w x with r = 1 / sqrt(mean(x^2) + eps):  d x = r (w d y - x r^2 mean(x w d y))
void rms_row(const RmsGradArgs& a, int64_t row) {
    const float *x = a.x + row * a.dim, *above = a.above + row * a.dim;
    float* out = a.to_x + row * a.dim;
    F square = {}, inner = {};
    auto weighed = [&](int64_t d, int n) {
        F v = load(above + d, n);
        return a.weight ? v * (load(a.weight + d, n) + a.offset) : v;
    };
    for (int64_t d = 0; d < a.dim; d += LANES) {
        const int n = int(smaller(a.dim - d, int64_t(LANES)));
        F v = load(x + d, n);
        square = fma(v, v, square);
        inner = fma(v, weighed(d, n), inner);
    }
    float rate = 1 / sqrtf(total(square) / a.dim + a.eps);
    float pull = rate * rate * rate * total(inner) / a.dim;
    for (int64_t d = 0; d < a.dim; d += LANES) {
        const int n = int(smaller(a.dim - d, int64_t(LANES)));
        store(out + d, weighed(d, n) * rate - load(x + d, n) * pull, n);
    }
}

}  // namespace
}  // namespace enfold

using namespace enfold;

ENFOLD void enfold_drop(const float* x, float* y, int64_t count, uint64_t seed, double rate,
                        int threads) {
    const Draws draws(seed, rate);
    parallel((count + PIECE - 1) / PIECE, 1, threads, [&](int64_t first, int64_t last) {
        for (int64_t piece = first; piece < last; ++piece) {
            const uint32_t row = draws.row(piece);
            const int64_t begin = piece * PIECE, end = smaller(begin + PIECE, count);
            for (int64_t i = begin; i < end; i += LANES) {
                const int n = int(smaller(end - i, int64_t(LANES)));
                store(y + i, load(x + i, n) * draws.kept(row, i - begin), n);
            }
        }
    });
}

ENFOLD void enfold_gate_grad(const GateGradArgs* a) {
    parallel(a->count, PIECE, a->threads, [&](int64_t begin, int64_t end) {
        switch (a->act) {
            case SILU: return gate_part<SILU>(*a, begin, end);
            case GELU: return gate_part<GELU>(*a, begin, end);
            default: return gate_part<GELU_TANH>(*a, begin, end);
        }
    });
}

ENFOLD void enfold_rms_grad(const RmsGradArgs* a) {
    int64_t grain = PIECE / (a->dim < PIECE ? a->dim : PIECE);
    parallel(a->rows, grain, a->threads, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) rms_row(*a, row);
    });
}
