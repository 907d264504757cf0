// Large fp32 products, C (+)= A B + bias, of matrices that lie either way: those of a linear layer
// and of its gradients.
//
// The side with fewer rows is packed as a whole, in parts that fit into a core's cache; of the other
// a block at a time is packed and multiplied with all of it.
#include "scratch.h"
#include "split.h"
#include "threads.h"

#if ENFOLD_AMX

namespace enfold {

struct ProductArgs {
    Side a, b;
    const float* bias;  // [b.rows], if there is nothing to add to; or null
    float* out;         // [a.rows, b.rows], `pitch` numbers from row to row
    int64_t pitch, depth;
    int32_t more, threads;  // more: add to what is there
};

namespace {

constexpr int64_t DEPTH = 384, MOST = 640;  // of the packed side at a time: 1.5 MB of 2

// The block of sums at (m, n): of a and b, of so many units of depth, the first ones or others.
void block(const ProductArgs& p, int64_t m, int64_t n, const float* a, const float* b,
           int64_t units, bool first, float* room) {
    const Place to = {p.out + m * p.pitch + n, p.pitch};
    const Place bias = {first && p.bias ? const_cast<float*>(p.bias) + n : nullptr, 0};
    const Place start = first && !p.more ? bias : to;
    const int64_t rows = smaller(p.a.rows - m, BLOCK), columns = smaller(p.b.rows - n, BLOCK);
    if (rows == BLOCK && columns == BLOCK) return multiply_split(a, b, units, start, to);
    multiply_split(a, b, units, {}, {room, BLOCK});
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c += LANES) {
            const int count = int(columns - c);
            F sum = load(room + r * BLOCK + c);
            if (start.at) sum += load(start.at + r * start.pitch + c, count);
            store(to.at + r * p.pitch + c, sum, count);
        }
}

// Depths [k, k + count) of rows [from, from + most) of the packed side, with all of the other.
template <bool packs_b>
void part(const ProductArgs& p, int64_t from, int64_t most, int64_t k, int64_t count, float* held) {
    const Side &whole = packs_b ? p.b : p.a, &rest = packs_b ? p.a : p.b;
    const int64_t units = (count + DEEP - 1) / DEEP, apart = BLOCK / LANES * units * UNIT;
    const int64_t blocks = (most + BLOCK - 1) / BLOCK;
    parallel(blocks, 1, p.threads, [&](int64_t i, int64_t end) {
        for (; i < end; i++)
            pack_split<!packs_b>(whole, from + i * BLOCK, BLOCK, k, count, held + i * apart);
    });
    parallel((rest.rows + BLOCK - 1) / BLOCK, 1, p.threads, [&](int64_t i, int64_t end) {
        static thread_local Scratch scratch;
        const Tiles unit;
        float *own = scratch.get<float>(apart + BLOCK * BLOCK), *room = own + apart;
        for (; i < end; i++) {
            pack_split<packs_b>(rest, i * BLOCK, BLOCK, k, count, own);
            for (int64_t j = 0; j < blocks; j++) {
                const float* other = held + j * apart;
                const int64_t here = i * BLOCK, there = from + j * BLOCK;
                if (packs_b) block(p, here, there, own, other, units, k == 0, room);
                else block(p, there, here, other, own, units, k == 0, room);
            }
        }
    });
}

template <bool packs_b> void multiply(const ProductArgs& p) {
    static thread_local Scratch scratch;
    const int64_t rows = packs_b ? p.b.rows : p.a.rows;
    for (int64_t from = 0; from < rows; from += MOST)
        for (int64_t k = 0; k < p.depth; k += DEPTH) {
            const int64_t most = smaller(rows - from, MOST), count = smaller(p.depth - k, DEPTH);
            part<packs_b>(p, from, most, k, count,
                          scratch.get<float>(round_up(most, BLOCK) / LANES *
                                             (round_up(count, DEEP) / DEEP) * UNIT));
        }
}

}  // namespace
}  // namespace enfold

using namespace enfold;

ENFOLD void enfold_product(const ProductArgs* p) {
    p->b.rows < p->a.rows ? multiply<true>(*p) : multiply<false>(*p);
}

#endif
