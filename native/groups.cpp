// Products with weights in groups: few rows as products of integers, many through the weight's numbers,
// made for a panel of rows at a time, which stay in a cache.
//
// M rows, I in, O out, B blocks
#include "gemm.h"
#include "groups_dot.h"
#include "rows.h"

namespace enfold {
namespace {

// Memory of a call: inputs as bytes, their scales and sums.
template <class T>
Inputs* quantized(const T* x, int64_t rows, const Groups& w, int64_t width, int threads) {
    static thread_local Scratch memory, table;
    const bool shorts = by_shorts<T>(w);
    const int64_t padded = round_up(w.inputs, CHUNK) * (shorts ? 2 : 1), one = padded + 8 * width;
    auto* bytes = memory.get<uint8_t>(rows * one);
    auto* found = table.get<Inputs>(rows);
    parallel(rows, 4, threads, [&](int64_t begin, int64_t end) {
        for (int64_t m = begin; m < end; m++) {
            uint8_t* p = bytes + m * one;
            std::memset(p, 0, size_t(one));
            found[m] = {(int8_t*)p, (float*)(p + padded), (float*)(p + padded) + width};
#if ENFOLD_AVX512
            if (shorts) {
                shorten_row(x + m * w.inputs, w.inputs, found[m]);
                continue;
            }
#endif
            quantize_row(x + m * w.inputs, w.inputs, w.bits, found[m]);
        }
    });
    return found;
}

// Memory of a thread: the scales of a row of q, and their products with those of x by blocks.
struct Products {
    float *wide, *both[AT_ONCE], sums[AT_ONCE];
    F off[AT_ONCE];
    Products(const Groups& w, int64_t width) {
        static thread_local Scratch memory;
        const int64_t groups = round_up(w.groups + 32, 16), count = groups + AT_ONCE * width;
        float* p = memory.get<float>(count);
        std::memset(p, 0, size_t(count) * 4);
        wide = p, p += groups;
        for (float*& each : both) each = p, p += width;
    }
};

template <class T>
void few(const Groups& w, const T* x, const Spread& spread, const T* bias, T* y, int64_t rows,
         int threads) {
    const int64_t width = round_up(spread.blocks + 16, 16), part = w.outputs / (4 * threads) + 1;
    const Inputs* xs = quantized(x, rows, w, width, threads);
    const float signs = by_shorts<T>(w) ? 128 : 0;
    auto* dots = w.bits == 4 ? some_dots<4> : some_dots<8>;
#if ENFOLD_AVX512
    if (by_shorts<T>(w)) dots = some_shorts;
#endif
    parallel(w.outputs, part < 64 ? part : 64, threads, [&](int64_t begin, int64_t end) {
        Products held(w, width);
        for (int64_t o = begin; o < end; o++) {
            scales_of(w, o, held.wide);
            const float more = bias ? to_float(bias[o]) : 0;
            for (int64_t m = 0; m < rows; m += AT_ONCE) {
                const int some = int(rows - m < AT_ONCE ? rows - m : AT_ONCE);
                combine(w, o, spread, held.wide, xs + m, some, signs, held.both, held.off);
                dots(some, w.q + o * w.row, w.inputs, xs + m, held.both, held.off, held.sums);
                for (int n = 0; n < some; n++)
                    from_float(y + (m + n) * w.outputs + o, held.sums[n] + more);
            }
        }
    });
}

// Few rows by numbers in fp32, a row of the weight at a time.
template <class T>
void few_wide(const Groups& w, const T* x, const T* bias, T* y, int64_t rows, int threads) {
    static thread_local Scratch given;
    const int64_t pitch = round_up(w.inputs, LANES);
    float* wide = given.get<float>(rows * pitch);
    std::memset(wide, 0, size_t(rows * pitch) * 4);
    for (int64_t m = 0; m < rows; m++) widen_all(x + m * w.inputs, w.inputs, wide + m * pitch);
    const int64_t part = w.outputs / (4 * threads) + 1;
    parallel(w.outputs, part < 64 ? part : 64, threads, [&](int64_t begin, int64_t end) {
        static thread_local Scratch memory;
        float* row = memory.get<float>(pitch);
        std::memset(row, 0, size_t(pitch) * 4);
        for (int64_t o = begin; o < end; o++) {
            numbers(w, o, 0, w.inputs, row);
            for (int64_t m = 0; m < rows; m++) {
                F sums[2] = {zero(), zero()};
                for (int64_t i = 0; i < pitch; i += LANES)
                    sums[i / LANES % 2] =
                        fma(load(row + i), load(wide + m * pitch + i), sums[i / LANES % 2]);
                const float found = total(sums[0] + sums[1]);
                from_float(y + m * w.outputs + o, found + (bias ? to_float(bias[o]) : 0));
            }
        }
    });
}

// The numbers of a weight in groups.
template <class T> struct Decoded {
    const Groups& w;
    const T* operator()(const Weight&, int64_t row, int64_t first, int64_t count, T* room) const {
        numbers(w, row, first, count, room);
        return room;
    }
    void ask(const Weight&, int64_t row, int64_t first, int64_t count) const {
        ask_for(w.q + row * w.row + first * w.bits / 8, count * w.bits / 8);
    }
};

template <class D, class T>
void many(const Groups& w, const T* x, const T* bias, T* y, int64_t rows, int threads) {
    const Weight weight{nullptr, bias, nullptr, w.outputs, w.inputs};
    gemm<D>(&weight, 1, Rows<T, typename D::X>{x, w.inputs, w.inputs, threads}, rows, w.inputs,
            Floats<T>{y, rows}, threads, Decoded<T>{w});
}

}  // namespace
}  // namespace enfold

using namespace enfold;

// y [M, O] = x [M, I] times the weight, plus bias [O] or null; up to `most` rows as bytes.
// group [B], run: see Spread.
#define GROUPS_LINEAR(NAME, TYPE)                                                          \
    ENFOLD void NAME(const Groups* w, const TYPE* x, const int32_t* group, int run,        \
                     const TYPE* bias, TYPE* y, int64_t rows, int64_t most, int threads) { \
        const Spread spread{group, (w->inputs + BLOCK - 1) / BLOCK, run};                  \
        const bool wide = w->form != UNSIGNED && !by_shorts<TYPE>(*w);                     \
        if (rows <= most && wide) few_wide(*w, x, bias, y, rows, threads);                 \
        else if (rows <= most) few(*w, x, spread, bias, y, rows, threads);                 \
        else many<Way<TYPE>>(*w, x, bias, y, rows, threads);                               \
    }

GROUPS_LINEAR(enfold_groups_f32, float)
GROUPS_LINEAR(enfold_groups_bf16, bf16)
GROUPS_LINEAR(enfold_groups_f16, f16)

// The weight's numbers [O, I]: kind 0 fp32, 1 bf16, 2 fp16, rounded to the nearest.
ENFOLD void enfold_groups_decode(const Groups* w, void* to, int kind, int threads) {
    const int64_t grain = 16384 / (w->inputs + 1) + 1;
    parallel(w->outputs, grain, threads, [&](int64_t begin, int64_t end) {
        const auto rows = [&](auto* y) {
            for (int64_t o = begin; o < end; o++) numbers(*w, o, 0, w->inputs, y + o * w->inputs);
        };
        if (kind == 0) rows(static_cast<float*>(to));
        else if (kind == 1) rows(static_cast<bf16*>(to));
        else rows(static_cast<f16*>(to));
    });
}
