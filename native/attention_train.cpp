// Attention and its gradient for training, in fp32, over texts that stand one behind the other.
//
// A text's scores of one head are a square that fits in a core's cache: they are made anew in the
// backward pass, from the log of each row's sum, and nothing of their size is kept.
// T tokens of a text, D head_dim
#include "api.h"
#include "draws.h"
#include "scratch.h"
#include "softmax.h"
#include "threads.h"
#include "transpose.h"

namespace enfold {

struct Heads {
    float* at;
    int64_t token, head;  // numbers from one to the next
};

struct TrainAttentionArgs {
    Heads q, k, v, out;             // out: given to the backward pass
    Heads above, to_q, to_k, to_v;  // gradients
    float* norms;                   // [heads, tokens]: log2 of each row's sum of weights
    const int64_t* starts;          // [texts + 1]
    int64_t texts, tokens;
    uint64_t seed;
    double rate;  // of dropout
    int32_t heads, kv_heads, dim, causal, threads;
    float scale;
};

namespace {

#if ENFOLD_AVX512
constexpr int ROWS = 8;  // sums that registers hold: rows of two vectors
#else
constexpr int ROWS = 4;
#endif

// A product A [R, K] B [K, C], stored or added: A's numbers stand `ar` and `ak` apart, B's and
// out's rows `bs` and `os`.
struct Product {
    const float* A;
    int64_t ar, ak;
    const float* B;
    int64_t bs;
    float* out;
    int64_t os;
    int rows, depth, width;
    bool add;
};

// R rows of C vectors; the last of them holds `last` numbers, or is whole.
template <int R, int C, bool whole> inline void tile(const Product& p, int row, int column) {
    const float *A = p.A + row * p.ar, *B = p.B + column;
    const int last = p.width - column;
    F sum[R][C] = {};
    for (int k = 0; k < p.depth; ++k, A += p.ak, B += p.bs) {
        F b[C];
        for (int c = 0; c < C; ++c) b[c] = whole ? load(B + c * LANES) : load(B, last);
        for (int r = 0; r < R; ++r)
            for (int c = 0; c < C; ++c) sum[r][c] = fma(all(A[r * p.ar]), b[c], sum[r][c]);
    }
    for (int r = 0; r < R; ++r)
        for (int c = 0; c < C; ++c) {
            float* to = p.out + (row + r) * p.os + column + c * LANES;
            if (p.add) sum[r][c] += whole ? load(to) : load(to, last);
            whole ? store(to, sum[r][c]) : store(to, sum[r][c], last);
        }
}

template <int R> void strip(const Product& p, int row) {
    int c = 0;
    for (; c + 2 * LANES <= p.width; c += 2 * LANES) tile<R, 2, true>(p, row, c);
    if (c + LANES <= p.width) tile<R, 1, true>(p, row, c), c += LANES;
    if (c < p.width) tile<R, 1, false>(p, row, c);
}

template <int R> void rest(const Product& p, int row) {  // the last rows, fewer than R
    if constexpr (R > 1) p.rows - row == R - 1 ? strip<R - 1>(p, row) : rest<R - 1>(p, row);
}

void multiply(const Product& p) {
    int row = 0;
    for (; row + ROWS <= p.rows; row += ROWS) strip<ROWS>(p, row);
    if (row < p.rows) rest<ROWS>(p, row);
}

// x [T, D] as [D, padded], zeros behind.
void turn(const float* x, int64_t step, int count, int dim, int padded, float* out) {
    for (int t = 0; t < padded; t += LANES)
        for (int d = 0; d < dim; d += LANES) {
            F part[LANES];
            for (int i = 0; i < LANES; ++i)
                part[i] = t + i < count ? load(x + (t + i) * step + d, dim - d) : zero();
            transpose(part);
            for (int i = 0; i < LANES && d + i < dim; ++i)
                store(out + int64_t(d + i) * padded + t, part[i]);
        }
}

struct Text {
    int64_t first;
    int count, padded;
};

Text text_of(const TrainAttentionArgs& a, int64_t number) {
    int64_t first = a.starts[number];
    int count = int(a.starts[number + 1] - first);
    return {first, count, int(round_up(int64_t(count), int64_t(2 * LANES)))};
}

float* place(const Heads& x, int64_t token, int head) {
    return x.at + token * x.token + head * x.head;
}

// Keys that row i sees.
int seen(const TrainAttentionArgs& a, const Text& text, int i) {
    return a.causal ? i + 1 : text.count;
}

uint32_t row_of(const TrainAttentionArgs& a, const Draws& draws, int64_t token, int head) {
    return draws.row(uint64_t(token) * a.heads + head);
}

void forward(const TrainAttentionArgs& a, const Draws& draws, const Text& t, int head,
             float* room) {
    int kv = head / (a.heads / a.kv_heads);
    float *turned = room, *scores = room + int64_t(a.dim) * t.padded;
    turn(place(a.k, t.first, kv), a.k.token, t.count, a.dim, t.padded, turned);
    multiply({place(a.q, t.first, head), a.q.token, 1, turned, t.padded, scores, t.padded, t.count,
              a.dim, t.padded, false});
    for (int i = 0; i < t.count; ++i) {
        float* row = scores + int64_t(i) * t.padded;
        int count = seen(a, t, i);
        float top = adjust(row, count, a.scale, nullptr, nullptr);
        float sum = weigh(row, row, count, top), share = 1 / sum;
        a.norms[head * a.tokens + t.first + i] = top + log2f(sum);
        uint32_t start = a.rate > 0 ? row_of(a, draws, t.first + i, head) : 0;
        for (int j = 0; j < t.padded; j += LANES) {
            F weight = j < count ? load(row + j) * share : F{};
            store(row + j, a.rate > 0 ? weight * draws.kept(start, j) : weight);
        }
    }
    multiply({scores, t.padded, 1, place(a.v, t.first, kv), a.v.token, place(a.out, t.first, head),
              a.out.token, t.count, t.count, a.dim, false});
}

// Weights after dropout and gradients of scores, both [T, padded], of a row.
void row_back(const TrainAttentionArgs& a, const Draws& draws, const Text& t, int head, int i,
              float* weights, float* grads) {
    const float *above = place(a.above, t.first + i, head), *out = place(a.out, t.first + i, head);
    F dot = {};
    for (int d = 0; d < a.dim; d += LANES)
        dot = fma(load(above + d, a.dim - d), load(out + d, a.dim - d), dot);
    float delta = total(dot), norm = a.norms[head * a.tokens + t.first + i];
    int count = seen(a, t, i);
    uint32_t start = a.rate > 0 ? row_of(a, draws, t.first + i, head) : 0;
    for (int j = 0; j < t.padded; j += LANES) {
        F weight = exp2(load(weights + j) * (a.scale * LOG2E) - norm);
        if (count - j < LANES) weight = pick(counted() < count - j, weight, F{});
        F kept = a.rate > 0 ? draws.kept(start, j) : all(1.f);
        store(grads + j, weight * (load(grads + j) * kept - delta) * a.scale);
        store(weights + j, weight * kept);
    }
}

void backward(const TrainAttentionArgs& a, const Draws& draws, const Text& t, int kv, float* room) {
    int group = a.heads / a.kv_heads;
    int64_t flat = int64_t(a.dim) * t.padded, square = int64_t(t.count) * t.padded;
    float *keys = room, *values = keys + flat, *weights = values + flat, *grads = weights + square;
    turn(place(a.k, t.first, kv), a.k.token, t.count, a.dim, t.padded, keys);
    turn(place(a.v, t.first, kv), a.v.token, t.count, a.dim, t.padded, values);
    for (int head = kv * group; head < (kv + 1) * group; ++head) {
        const float *q = place(a.q, t.first, head), *above = place(a.above, t.first, head);
        multiply({q, a.q.token, 1, keys, t.padded, weights, t.padded, t.count, a.dim, t.padded,
                  false});
        multiply({above, a.above.token, 1, values, t.padded, grads, t.padded, t.count, a.dim,
                  t.padded, false});
        for (int i = 0; i < t.count; ++i)
            row_back(a, draws, t, head, i, weights + int64_t(i) * t.padded,
                     grads + int64_t(i) * t.padded);
        bool more = head > kv * group;
        multiply({grads, t.padded, 1, place(a.k, t.first, kv), a.k.token,
                  place(a.to_q, t.first, head), a.to_q.token, t.count, t.count, a.dim, false});
        multiply({grads, 1, t.padded, q, a.q.token, place(a.to_k, t.first, kv), a.to_k.token,
                  t.count, t.count, a.dim, more});
        multiply({weights, 1, t.padded, above, a.above.token, place(a.to_v, t.first, kv),
                  a.to_v.token, t.count, t.count, a.dim, more});
    }
}

template <class Work> void by_texts(const TrainAttentionArgs& a, int heads, const Work& work) {
    int longest = 0;
    for (int64_t n = 0; n < a.texts; ++n) longest = larger(longest, text_of(a, n).padded);
    const Draws draws(a.seed, a.rate);
    parallel(a.texts * heads, 1, a.threads, [&](int64_t begin, int64_t end) {
        static thread_local Scratch scratch;
        float* room = scratch.get<float>(2 * (int64_t(longest) + a.dim) * longest);
        for (int64_t n = begin; n < end; ++n)
            work(draws, text_of(a, n / heads), int(n % heads), room);
    });
}

}  // namespace
}  // namespace enfold

using namespace enfold;

ENFOLD void enfold_attend_train(const TrainAttentionArgs* a) {
    by_texts(*a, a->heads, [&](const Draws& draws, const Text& text, int head, float* room) {
        forward(*a, draws, text, head, room);
    });
}

ENFOLD void enfold_attend_grad(const TrainAttentionArgs* a) {
    by_texts(*a, a->kv_heads, [&](const Draws& draws, const Text& text, int head, float* room) {
        backward(*a, draws, text, head, room);
    });
}
