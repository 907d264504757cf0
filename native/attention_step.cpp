// A step of decoding: rotate the new query and key, append key and value to the cache, attend.
//
// One query per row of the batch and head; the G = H / K heads of a group share a key.  Keys are
// read once, BLOCK at a time, for the heads of a group together; softmax is kept as a running
// maximum and sum in fp32.  Threads share out rows, kv heads and, in long contexts, stretches of
// keys, whose parts are put together at the end.
//
// B rows, H heads, K kv heads, D features of a head, S keys
#include <cstdlib>

#include "dot.h"
#include "rotate.h"
#include "softmax.h"
#include "transpose.h"

namespace enfold {

struct StepArgs {
    const void *query, *key, *value;  // [B, K, G, D], [B, K, D] twice; no key: nothing to append
    void *keys, *values;              // [B, K, capacity, D]
    void* out;                        // [B, H, D]
    const float *cos, *sin;           // [B, R], or null
    const uint8_t* mask;              // [B, S] of zeros and ones, or null
    const float* bias;                // [H, S] to be added, or null
    int64_t query_row, query_group, key_row, key_head, value_row,
        value_head;  // numbers to the next
    int64_t cache_row, cache_head, cache_token, rope_row, mask_row, bias_head;
    int32_t batch, heads, kv_heads, dim, rotated, interleaved;
    int32_t length;  // keys, the new one included
    int32_t window;  // of the last so many keys, or 0
    int32_t threads, dtype;
    float scale;
};

namespace {

constexpr int BLOCK = 64;     // keys at a time
constexpr int STRETCH = 512;  // keys that a thread takes at least
constexpr int MOST = 64;      // stretches
constexpr int WIDEST = 512;   // features of a head

// What queries are multiplied as: in fp32, or in pairs where there are products of those.
template <class T> using Query = typename Way<T>::X;

// Running state of the heads of a group over a stretch of keys.
template <class T> struct Partial {
    Query<T>* query;            // [G, D], rows `width` apart
    float *mixed, *most, *sum;  // [G, D], [G], [G]
};

// Products of N queries and a key, still to be summed over lanes, LANES apart.
template <int N, class T>
inline void products(const float* query, int width, const T* key, int dim, F* out) {
    F sum[N] = {};
    for (int d = 0; d < dim; d += LANES) {
        F k = load(key + d, dim - d);
#pragma GCC unroll 8
        for (int g = 0; g < N; g++) sum[g] = fma(load(query + g * width + d), k, sum[g]);
    }
#pragma GCC unroll 8
    for (int g = 0; g < N; g++) out[g * LANES] = sum[g];
}

#if ENFOLD_BF16
template <int N>
inline void products(const bf16* query, int width, const bf16* key, int dim, F* out) {
    __m512 sum[N] = {};
    for (int d = 0; d < dim; d += 32) {
        __mmask32 there = dim - d >= 32 ? ~0u : (1u << (dim - d)) - 1;
        __m512bh k = (__m512bh)_mm512_maskz_loadu_epi16(there, key + d);
#pragma GCC unroll 8
        for (int g = 0; g < N; g++)
            sum[g] =
                _mm512_dpbf16_ps(sum[g], (__m512bh)_mm512_loadu_si512(query + g * width + d), k);
    }
#pragma GCC unroll 8
    for (int g = 0; g < N; g++) out[g * LANES] = sum[g];
}
#endif

// Scores [N, count] of N queries and `count` keys, rows BLOCK apart.
template <int N, class Q, class T>
void score(const Q* query, int width, const T* keys, int64_t step, int count, int dim, float* out) {
    for (int first = 0; first < count; first += LANES) {
        int here = smaller(LANES, count - first);
        F part[N][LANES];
        for (int i = 0; i < here; i++)
            products<N>(query, width, keys + (first + i) * step, dim, &part[0][i]);
        for (int i = here; i < LANES; i++)
#pragma GCC unroll 8
            for (int g = 0; g < N; g++) part[g][i] = F{};
#pragma GCC unroll 8
        for (int g = 0; g < N; g++) store(out + g * BLOCK + first, totals(part[g]));
    }
}

// Adds the values of `count` keys, weighted, to what N queries have mixed.
template <int N, class T>
void mix(const float* weight, const T* values, int64_t step, int count, int dim, float* mixed,
         int width) {
    for (int d = 0; d < dim; d += LANES) {
        F sum[N];
#pragma GCC unroll 8
        for (int g = 0; g < N; g++) sum[g] = load(mixed + g * width + d);
        for (int i = 0; i < count; i++) {
            F v = load(values + i * step + d, dim - d);
#pragma GCC unroll 8
            for (int g = 0; g < N; g++) sum[g] = fma(all(weight[g * BLOCK + i]), v, sum[g]);
        }
#pragma GCC unroll 8
        for (int g = 0; g < N; g++) store(mixed + g * width + d, sum[g]);
    }
}

// The scores of a block as weights; what was mixed before is scaled to the new maximum.
template <class T>
void settle(float* scores, int count, float top, int g, int width, Partial<T>& state) {
    top = larger(top, state.most[g]);
    float keep = exp2(state.most[g] - base(top)), sum = weigh(scores, scores, count, base(top));
    state.sum[g] = state.sum[g] * keep + sum;
    state.most[g] = top;
    float* mixed = state.mixed + g * width;
    if (keep != 1.f)
        for (int d = 0; d < width; d += LANES) store(mixed + d, load(mixed + d) * keep);
}

template <int N, class T>
void block(const StepArgs& a, int row, int head, int kv, int first, int count, int g, int width,
           Partial<T>& state) {
    float scores[N * BLOCK];
    int64_t start = row * a.cache_row + kv * a.cache_head + first * a.cache_token;
    score<N>(state.query + g * width, width, (const T*)a.keys + start, a.cache_token, count, a.dim,
             scores);
    for (int i = 0; i < N; i++) {
        const float* bias = a.bias ? a.bias + (head + i) * a.bias_head + first : nullptr;
        const uint8_t* mask = a.mask ? a.mask + row * a.mask_row + first : nullptr;
        float* own = scores + i * BLOCK;
        settle(own, count, adjust(own, count, a.scale, bias, mask), g + i, width, state);
    }
    mix<N>(scores, (const T*)a.values + start, a.cache_token, count, a.dim, state.mixed + g * width,
           width);
}

template <class T>
void stretch(const StepArgs& a, int row, int kv, int begin, int end, int width, Partial<T>& state) {
    int group = a.heads / a.kv_heads;
    for (int first = begin; first < end; first += BLOCK) {
        int count = smaller(BLOCK, end - first), g = 0;
        auto run = [&](auto size) {
            constexpr int N = decltype(size)::value;
            for (; group - g >= N; g += N)
                block<N, T>(a, row, kv * group + g, kv, first, count, g, width, state);
        };
        run(Number<8>());
        run(Number<4>());
        run(Number<2>());
        run(Number<1>());
    }
}

// `dim` numbers of a head from `from` to `to`, rotated.
template <class T> void place_head(const StepArgs& a, int row, const T* from, T* to) {
    std::memcpy((void*)to, from, sizeof(T) * a.dim);
    if (a.cos)
        rotate_head(to, a.cos + row * a.rope_row, a.sin + row * a.rope_row, a.rotated,
                    a.interleaved);
}

// The group's queries, rotated; nothing mixed yet.
template <class T>
void begin_group(const StepArgs& a, int row, int kv, int width, Partial<T>& state) {
    int group = a.heads / a.kv_heads;
    const T* query = (const T*)a.query + row * a.query_row + kv * a.query_group;
    T head[WIDEST];
    for (int g = 0; g < group; g++) {
        place_head(a, row, query + g * a.dim, head);
        for (int d = 0; d < width; d += LANES) {
            F part = d < a.dim ? load(head + d, a.dim - d) : F{};
            store(state.query + g * width + d, part);
        }
        state.most[g] = -INFINITY;
        state.sum[g] = 0;
    }
    std::memset(state.mixed, 0, sizeof(float) * group * width);
}

template <class T> void append(const StepArgs& a, int row, int kv) {
    int64_t place = row * a.cache_row + kv * a.cache_head + (a.length - 1) * a.cache_token;
    const T* key = (const T*)a.key + row * a.key_row + kv * a.key_head;
    const T* value = (const T*)a.value + row * a.value_row + kv * a.value_head;
    place_head(a, row, key, (T*)a.keys + place);
    std::memcpy((void*)((T*)a.values + place), value, sizeof(T) * a.dim);
}

// Puts the stretches of a group together; stretches lie `size` numbers apart.
template <class T>
void finish(const StepArgs& a, int row, int kv, const float* from, int64_t size, int splits,
            int width) {
    int group = a.heads / a.kv_heads;
    for (int g = 0; g < group; g++) {
        float top = -INFINITY, sum = 0;
        const float* most = from + 2 * int64_t(group) * width;
        for (int s = 0; s < splits; s++) top = larger(top, most[s * size + g]);
        float share[MOST];
        for (int s = 0; s < splits; s++) {
            share[s] = exp2(most[s * size + g] - base(top));
            sum += share[s] * most[s * size + group + g];
        }
        float scale = sum > 0 ? 1 / sum : 0;
        T* out = (T*)a.out + (int64_t(row) * a.heads + kv * group + g) * a.dim;
        for (int d = 0; d < a.dim; d += LANES) {
            F found = {};
            for (int s = 0; s < splits; s++)
                found = fma(load(from + s * size + (group + g) * int64_t(width) + d), all(share[s]),
                            found);
            store(out + d, found * scale, a.dim - d);
        }
    }
}

template <class T> void step(const StepArgs& a) {
    int group = a.heads / a.kv_heads, units = a.batch * a.kv_heads;
    int width = round_up(a.dim, 32), begin = a.window ? larger(0, a.length - a.window) : 0;
    int keys = a.length - begin, most = larger(1, smaller(MOST, keys / STRETCH));
    int splits = smaller(most, (a.threads + units - 1) / units);
    int each = round_up((keys + splits - 1) / splits, BLOCK);
    splits = (keys + each - 1) / each;
    int64_t size = round_up(2 * int64_t(group) * width + 2 * group, 16);
    int threads = int64_t(units) * keys * a.dim < 16384 ? 1 : smaller(a.threads, units * splits);
    float* work = (float*)aligned_alloc(64, round_up(sizeof(float) * size * units * splits, 64));
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
#pragma omp for
        for (int task = 0; task < units * splits; task++) {
            int unit = task / splits, split = task % splits, row = unit / a.kv_heads;
            int kv = unit % a.kv_heads;
            float* own = work + task * size;
            float* mixed = own + group * width;
            Partial<T> state = {(Query<T>*)own, mixed, mixed + group * width,
                                mixed + group * width + group};
            if (a.key && split == splits - 1) append<T>(a, row, kv);
            begin_group<T>(a, row, kv, width, state);
            int first = begin + split * each;
            stretch<T>(a, row, kv, first, smaller(first + each, a.length), width, state);
        }
#pragma omp for
        for (int unit = 0; unit < units; unit++)
            finish<T>(a, unit / a.kv_heads, unit % a.kv_heads, work + unit * splits * size, size,
                      splits, width);
    }
    free(work);
}

}  // namespace
}  // namespace enfold

using namespace enfold;

ENFOLD void enfold_attention_step(const StepArgs* a) {
    a->dtype ? step<bf16>(*a) : step<float>(*a);
}
