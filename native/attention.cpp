// Attention of many queries: softmax(scale * Q K' + bias) F, a block of queries and keys at a time,
// with a running maximum and sum in fp32 (arXiv 2205.14135); nothing of size T x S is kept.
//
//     for each batch row and kv head:  pack its keys and values (panel.h), once
//     for each block of its queries:   scores, weights, mix over blocks of keys
//
// The G = H / K heads of a group are queries of one key: number t * G + g is head g at time t.
// Sequences may stand one behind the other without padding: `starts` says where.
//
// B rows, H heads, K kv heads, D features of a head, T queries, S keys
#include "panel.h"
#include "rows.h"
#include "softmax.h"

namespace enfold {

struct AttentionArgs {
    const void *query, *key, *value;  // [B, T, H, D], [B, S, K, D] twice, by the steps below
    void* out;                        // [B, T, H, D]
    const int64_t* starts;            // [B + 1] places of sequences in joint tensors; or null
    const uint8_t* mask;              // [B, S] of zeros and ones; or null
    const float* bias;                // to be added to the scores; or null
    int64_t query_row, query_token, query_head;  // numbers from one to the next
    int64_t key_row, key_token, key_head, value_row, value_token, value_head;
    int64_t out_row, out_token, out_head, mask_row, bias_row, bias_head, bias_token;
    int32_t batch, heads, kv_heads, dim, queries, keys;
    int32_t causal;  // a query sees no key behind it; the last query stands at the last key
    int32_t window;  // nor one that is `window` or more positions away; 0: any
    int32_t threads, dtype;
    float scale;
};

namespace {

constexpr int LONG = 256;                   // keys at a time
constexpr int WIDTH = LONG + PANEL;         // a row of scores: the last vector may reach over
constexpr int64_t ROOM = int64_t(2) << 20;  // bytes of packed keys and values at a time

// What numbers are multiplied as.
template <class T> using X = typename Way<T>::X;

// Queries at a time: whole blocks of registers.
template <class T> constexpr int TALL = sizeof(X<T>) == 2 ? 64 : 48;

// A batch row and kv head: where its sequence is, and its packed keys and values.
template <class T> struct Unit {
    const T *query, *key, *value;
    T* out;
    const uint8_t* mask;
    const float* bias;
    int queries, keys, group, row, head;  // head: the first of the group
};

template <class T> Unit<T> unit_at(const AttentionArgs& a, int number) {
    int row = number / a.kv_heads, kv = number % a.kv_heads, group = a.heads / a.kv_heads;
    int64_t start = a.starts ? a.starts[row] : 0, line = a.starts ? 0 : row;
    int length = a.starts ? int(a.starts[row + 1] - start) : 0, head = kv * group;
    return {(const T*)a.query + line * a.query_row + start * a.query_token + head * a.query_head,
            (const T*)a.key + line * a.key_row + start * a.key_token + kv * a.key_head,
            (const T*)a.value + line * a.value_row + start * a.value_token + kv * a.value_head,
            (T*)a.out + line * a.out_row + start * a.out_token + head * a.out_head,
            a.mask ? a.mask + row * a.mask_row : nullptr,
            a.bias ? a.bias + row * a.bias_row + head * a.bias_head : nullptr,
            a.starts ? length : a.queries,
            a.starts ? length : a.keys,
            group,
            row,
            head};
}

template <class T> struct Sizes {
    int depth, wide;      // D filled up for scores, and to panels
    int64_t keys, total;  // S filled up; granules of a unit's packed keys and values

    Sizes(int dim, int count)
        : depth(int(round_up(dim, 32))),
          wide(int(round_up(dim, PANEL))),
          keys(round_up(count, 32)),
          total(granules(keys * (depth + wide))) {}
    static int64_t granules(int64_t numbers) { return numbers * int64_t(sizeof(X<T>)) / 4; }
    int64_t line() const { return granules(depth); }          // of a row of keys
    int64_t values() const { return keys * line(); }          // granules before the values
    int64_t panel() const { return granules(keys) * PANEL; }  // of values
};

template <class T> void pack(const AttentionArgs& a, const Unit<T>& u, float* to) {
    static thread_local Scratch scratch;
    const Sizes<T> s(a.dim, u.keys);
    const Rows<T, X<T>> keys{u.key, a.key_token, a.dim, 1};
    const float* rows = keys(0, u.keys, s.line(), scratch);
    pack_rows(rows, keys.pitch(s.line()), u.keys, s.line(), to, 1);
    const int64_t filled = round_up(u.keys, PANEL);  // blocks of keys: panels in pairs
    std::memset(to + filled * s.line(), 0, size_t(s.keys - filled) * s.line() * 4);
    pack_depth(u.value, a.value_token, u.keys, a.dim, s.keys, to + s.values());
}

// A row of a block: which head of the group, when, and the keys [begin, end) that it may see.
struct Row {
    int head, time, begin, end;
};

template <class T> Row row_at(const AttentionArgs& a, const Unit<T>& u, int number) {
    int time = number / u.group, place = time + u.keys - u.queries, begin = 0, end = u.keys;
    if (a.causal) end = smaller(end, place + 1);
    if (a.window) begin = larger(0, place - a.window + 1);
    if (a.window && !a.causal) end = smaller(end, place + a.window);
    return {number % u.group, time, begin, end};
}

// A block of queries under way: `count` rows, what they mixed so far, their maxima and sums.
template <class T> struct Work {
    float *score, *mixed;  // [TALL, WIDTH], [TALL, wide]
    X<T>*query, *weight;   // [TALL, depth], [TALL, WIDTH]
    float most[TALL<T>] = {}, sum[TALL<T>] = {}, keep[TALL<T>];
    Row row[TALL<T>];
    int count, wide;

    Work(const Sizes<T>& s, int rows) : count(rows), wide(s.wide) {
        static thread_local Scratch scratch;
        const int64_t floats = TALL<T> * (WIDTH + s.wide), numbers = TALL<T> * (s.depth + WIDTH);
        score = scratch.get<float>(floats + Sizes<T>::granules(numbers));
        mixed = score + TALL<T> * WIDTH;
        query = (X<T>*)(score + floats);
        weight = query + TALL<T> * s.depth;
        std::memset(mixed, 0, sizeof(float) * rows * wide);
        for (float& top : most) top = -INFINITY;
    }

    // To new maxima: what was summed and mixed before counts for less.
    void lower(const float* top) {
        for (int i = 0; i < TALL<T>; i += LANES) {
            F old = load(most + i), now = load(top + i),
              seen = pick(now == all(-INFINITY), F{}, now);
            store(keep + i, exp2(old - seen));
            store(most + i, now);
        }
        for (int i = 0; i < count; i++)
            if (keep[i] != 1.f && sum[i] > 0) {
                float* own = mixed + i * wide;
                sum[i] *= keep[i];
                for (int d = 0; d < wide; d += LANES) store(own + d, load(own + d) * keep[i]);
            }
    }
};

// The scores of a block with `filled` keys from `first` on as weights.
template <class T>
void soften(const AttentionArgs& a, const Unit<T>& u, Work<T>& w, int first, int filled) {
    float top[TALL<T>];
    int from[TALL<T>], count[TALL<T>];
    for (int i = 0; i < TALL<T>; i++) top[i] = -INFINITY;
    for (int i = 0; i < w.count; i++) {
        Row row = w.row[i];
        from[i] = smaller(larger(row.begin - first, 0), filled);
        count[i] = larger(0, smaller(row.end - first, filled) - from[i]);
        int at = first + from[i];
        const float* bias =
            u.bias ? u.bias + row.head * a.bias_head + row.time * a.bias_token + at : nullptr;
        const uint8_t* mask = u.mask ? u.mask + at : nullptr;
        float highest = adjust(w.score + i * WIDTH + from[i], count[i], a.scale, bias, mask);
        top[i] = larger(w.most[i], highest);
    }
    w.lower(top);
    for (int i = 0; i < w.count; i++) {
        X<T>* weight = w.weight + i * WIDTH;
        const int end = from[i] + int(round_up(count[i], LANES));
        w.sum[i] += weigh(w.score + i * WIDTH + from[i], weight + from[i], count[i], base(top[i]));
        std::memset((void*)weight, 0, from[i] * sizeof *weight);
        if (end < filled) std::memset((void*)(weight + end), 0, (filled - end) * sizeof *weight);
    }
}

// Queries [number, number + rows) of a unit.
template <class T>
void attend(const AttentionArgs& a, const Unit<T>& u, const float* packed, int number, int rows) {
    using D = typename Way<T>::Form;
    constexpr int64_t SIZE = sizeof(X<T>);
    const Sizes<T> s(a.dim, u.keys);
    Work<T> w(s, rows);
    for (int i = 0; i < rows; i++) {
        w.row[i] = row_at(a, u, number + i);
        X<T>* to = w.query + i * s.depth;
        convert(u.query + w.row[i].time * a.query_token + w.row[i].head * a.query_head, a.dim, to);
        std::memset((void*)(to + a.dim), 0, size_t(s.depth - a.dim) * SIZE);
    }
    const float* values = packed + s.values();
    const int begin = w.row[0].begin / 32 * 32, end = w.row[rows - 1].end;
    for (int first = begin; first < end; first += LONG) {
        const int filled = smaller(LONG, int(round_up(end - first, 32)));
        multiply<D>(w.query, s.depth * SIZE, packed + first * s.line(), s.line() * PANEL, w.score,
                    WIDTH, rows, filled, s.line(), false);
        soften(a, u, w, first, filled);
        multiply<D>(w.weight, WIDTH * SIZE, values + s.granules(first) * PANEL, s.panel(), w.mixed,
                    s.wide, rows, s.wide, s.granules(filled), true);
    }
    for (int i = 0; i < rows; i++) {
        T* out = u.out + w.row[i].time * a.out_token + w.row[i].head * a.out_head;
        float scale = w.sum[i] > 0 ? 1 / w.sum[i] : 0;
        for (int d = 0; d < a.dim; d += LANES)
            store(out + d, load(w.mixed + i * s.wide + d) * scale, a.dim - d);
    }
}

// The units [first, last): all are packed, then all are attended to.
template <class T>
void wave(const AttentionArgs& a, int first, int last, float* packed, int64_t size) {
#pragma omp for schedule(dynamic)
    for (int number = first; number < last; number++)
        pack(a, unit_at<T>(a, number), packed + (number - first) * size);
    int most = 0;
    for (int number = first; number < last; number++) {
        Unit<T> u = unit_at<T>(a, number);
        most = larger(most, (u.queries * u.group + TALL<T> - 1) / TALL<T>);
    }
#pragma omp for schedule(dynamic)
    for (int task = 0; task < most * (last - first); task++) {  // the longest, of the end, first
        Unit<T> u = unit_at<T>(a, first + task % (last - first));
        int number = (most - 1 - task / (last - first)) * TALL<T>,
            rows = u.queries * u.group - number;
        if (rows > 0)
            attend(a, u, packed + task % (last - first) * size, number, smaller(rows, TALL<T>));
    }
}

template <class T> void attention(const AttentionArgs& a) {
    int units = a.batch * a.kv_heads, keys = a.keys;
    for (int row = 0; a.starts && row < a.batch; row++)
        keys = larger(keys, int(a.starts[row + 1] - a.starts[row]));
    const int64_t size = Sizes<T>(a.dim, keys).total;
    const int64_t fitting = ROOM / larger(int64_t(1), size * 4);
    int together = int(smaller(larger(int64_t(a.threads), fitting), int64_t(units)));
    static thread_local Scratch scratch;
    float* packed = scratch.get<float>(size * together);
#pragma omp parallel num_threads(a.threads) if (a.threads > 1)
    {
        const Tiles unit;
        for (int first = 0; first < units; first += together)
            wave<T>(a, first, smaller(first + together, units), packed, size);
    }
}

}  // namespace
}  // namespace enfold

using namespace enfold;

ENFOLD void enfold_attention(const AttentionArgs* a) {
    a->dtype ? attention<bf16>(*a) : attention<float>(*a);
}
