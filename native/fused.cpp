// What stands between the products of a transformer, each in one pass over its rows:
//
//     norm      y = norm(x), or s = x + h, y = norm(s); RMS and layer
//     gate      y = act(g) * u or act(g)
//     rotate    rotary positions on heads
//
// Numbers are rounded to the dtype where separate operations of torch would round them.
#include "acts.h"
#include "rotate.h"
#include "threads.h"

namespace enfold {

struct NormArgs {
    const void *x, *added;      // [rows, dim]; added or null
    const void *weight, *bias;  // [dim]; or null
    void *sum, *out;            // [rows, dim]; sum, if there is something to add: may be x
    int64_t rows, dim;
    int32_t layer;  // 1: LayerNorm, 0: RMSNorm
    int32_t threads, dtype;
    float eps, offset;  // offset: added to the weight
};

struct GateArgs {
    const void *gate, *up;  // [rows, dim]; up or null
    void* out;              // [rows, dim]
    int64_t rows, dim;
    int32_t act, threads, dtype;
};

struct RotateArgs {
    const void* x;                      // [B, T, H, D]
    void* out;                          // [B, T, H, D], close together
    const float *cos, *sin;             // [B or 1, T, R]
    int64_t row, token, head, cos_row;  // numbers from one to the next
    int32_t batch, length, heads, dim, rotated, interleaved, threads, dtype;
};

namespace {

constexpr int64_t GRAIN = 8192;  // numbers that are worth a thread

template <class T> F as(F v) {  // rounded to T
    if (sizeof(T) == sizeof(float)) return v;
    T part[LANES];
    store(part, v);
    return load(part);
}

template <class Work> void by_rows(int64_t rows, int64_t dim, int threads, const Work& work) {
    int64_t grain = larger(int64_t(1), GRAIN / larger(dim, int64_t(1)));
    parallel(rows, grain, threads, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) work(row);
    });
}

// ---- norms --------------------------------------------------------------------------------------
template <class T> void norm_row(const NormArgs& a, int64_t row) {
    int dim = int(a.dim);
    const T* x = (const T*)a.x + row * dim;
    const T* added = a.added ? (const T*)a.added + row * dim : nullptr;
    T *out = (T*)a.out + row * dim, *joint = added ? (T*)a.sum + row * dim : nullptr;
    F sum = {}, square = {};
    for (int d = 0; d < dim; d += LANES) {
        F v = load(x + d, dim - d);
        if (added) {
            v = as<T>(v + load(added + d, dim - d));
            store(joint + d, v, dim - d);
        }
        sum += v;
        square = fma(v, v, square);
    }
    if (added) x = joint;
    float mean = 0, spread = total(square) / dim;
    if (a.layer) {
        mean = total(sum) / dim;
        square = F{};
        for (int d = 0; d < dim; d += LANES) {
            F v = load(x + d, dim - d) - mean;
            if (dim - d < LANES) v = pick(counted() < dim - d, v, F{});
            square = fma(v, v, square);
        }
        spread = total(square) / dim;
    }
    float scale = 1 / sqrtf(spread + a.eps);
    const T *weight = (const T*)a.weight, *bias = (const T*)a.bias;
    for (int d = 0; d < dim; d += LANES) {
        F v = (load(x + d, dim - d) - mean) * scale;
        if (!a.layer) v = as<T>(v);
        if (weight) {
            F w = load(weight + d, dim - d);
            v *= a.offset ? as<T>(w + a.offset) : w;
        }
        if (bias) v += load(bias + d, dim - d);
        store(out + d, v, dim - d);
    }
}

// ---- gates --------------------------------------------------------------------------------------
template <class T, int act> void gate_row(const GateArgs& a, int64_t row) {
    int dim = int(a.dim);
    const T* gate = (const T*)a.gate + row * dim;
    const T* up = a.up ? (const T*)a.up + row * dim : nullptr;
    T* out = (T*)a.out + row * dim;
    for (int d = 0; d < dim; d += LANES) {
        F v = activate<act>(load(gate + d, dim - d));
        store(out + d, up ? as<T>(v) * load(up + d, dim - d) : v, dim - d);
    }
}

template <class T> void gate_rows(const GateArgs& a) {
    auto rows = [&](auto act) {
        constexpr int chosen = decltype(act)::value;
        by_rows(a.rows, a.dim, a.threads, [&](int64_t row) { gate_row<T, chosen>(a, row); });
    };
    switch (a.act) {
        case SILU: return rows(Number<SILU>());
        case GELU: return rows(Number<GELU>());
        case GELU_TANH: return rows(Number<GELU_TANH>());
        case QUICK_GELU: return rows(Number<QUICK_GELU>());
        case RELU: return rows(Number<RELU>());
        default: return rows(Number<RELU2>());
    }
}

// ---- rotary positions ---------------------------------------------------------------------------
template <class T> void rotate_rows(const RotateArgs& a) {
    by_rows(int64_t(a.batch) * a.length, int64_t(a.heads) * a.rotated, a.threads,
            [&](int64_t place) {
                int64_t row = place / a.length, token = place % a.length;
                const float* cos = a.cos + row * a.cos_row + token * a.rotated;
                const float* sin = a.sin + row * a.cos_row + token * a.rotated;
                T* out = (T*)a.out + place * a.heads * a.dim;
                for (int head = 0; head < a.heads; ++head, out += a.dim) {
                    const T* x = (const T*)a.x + row * a.row + token * a.token + head * a.head;
                    std::memcpy((void*)out, x, sizeof(T) * a.dim);
                    rotate_head(out, cos, sin, a.rotated, a.interleaved);
                }
            });
}

}  // namespace
}  // namespace enfold

using namespace enfold;

ENFOLD void enfold_norm(const NormArgs* a) {
    by_rows(a->rows, a->dim, a->threads,
            [&](int64_t row) { a->dtype ? norm_row<bf16>(*a, row) : norm_row<float>(*a, row); });
}

ENFOLD void enfold_gate(const GateArgs* a) {
    a->dtype ? gate_rows<bf16>(*a) : gate_rows<float>(*a);
}

ENFOLD void enfold_rotate(const RotateArgs* a) {
    a->dtype ? rotate_rows<bf16>(*a) : rotate_rows<float>(*a);
}
