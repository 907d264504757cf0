// Products by tile registers (AMX): 16 rows x 16 granules of A, 16 granules x 16 columns of B, 16 x
// 16 sums.  Rows of A and C are taken in sixteens: what lies behind the last must be readable and
// writable.
#pragma once

#include <type_traits>

#include "registers.h"

namespace enfold {

// Whether a way to multiply has tiles.
template <class D> constexpr bool tiled() {
#if ENFOLD_AMX
    return std::is_same<D, Pairs>::value || std::is_same<D, Bytes>::value;
#else
    return false;
#endif
}

// The tile unit, set up in this thread.
class Tiles {
public:
#if ENFOLD_AMX
    Tiles() {
        // static: compilers believe that only its first bytes are read
        alignas(64) static const uint8_t shape[64] = {
            1,  0,  0,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0,  0, 0,  0,  // palette 1
            64, 0,  64, 0,  64, 0,  64, 0, 64, 0, 64, 0, 64, 0, 64, 0,  // bytes of a row, 8 tiles
            0,  0,  0,  0,  0,  0,  0,  0, 0,  0, 0,  0, 0,  0, 0,  0,  //
            16, 16, 16, 16, 16, 16, 16, 16};                            // rows
        _tile_loadconfig(shape);
    }
    ~Tiles() { _tile_release(); }
#else
    ~Tiles() {}
#endif
};

struct Nothing {  // to be done at a step
    void step() const {}
};

#if ENFOLD_AMX

constexpr int64_t STEP = 64;  // bytes of a row in a tile

// GCC's tile instructions are macros that want plain numbers.
#define ENFOLD_TILE_PRODUCT(C, A, B)                                      \
    if constexpr (std::is_same<D, Pairs>::value) _tile_dpbf16ps(C, A, B); \
    else _tile_dpbssd(C, A, B)

struct Ends {  // what stands for the first and the last step of a: rows of STEP bytes, or nothing
    const char *head = nullptr, *tail = nullptr;
};

// c [16 M, 16 N] (+)= a x b: sums in tiles 0 to 3, a in 4 and 5, b in 6 and 7.  `lda` in bytes,
// `panel` in granules; ahead.step() is called at every step of 16 granules.
template <class D, int M, int N, class Ahead>
void by_tiles(const char* a, int64_t lda, const float* b, int64_t panel, float* c, int64_t ldc,
              int64_t granules, bool more, Ahead& ahead, Ends ends) {
    const int64_t line = ldc * 4;
    if (more) {
        _tile_loadd(0, c, line);
        if (N > 1) _tile_loadd(1, c + 16, line);
        if (M > 1) _tile_loadd(2, c + 16 * ldc, line);
        if (M > 1 && N > 1) _tile_loadd(3, c + 16 * ldc + 16, line);
    } else {
        _tile_zero(0);
        if (N > 1) _tile_zero(1);
        if (M > 1) _tile_zero(2);
        if (M > 1 && N > 1) _tile_zero(3);
    }
    for (int64_t g = 0; g < granules; g += 16, a += STEP, b += 16 * PANEL) {
        const char* end = g == 0 && ends.head ? ends.head : g + 16 == granules ? ends.tail : nullptr;
        const char* from = end ? end : a;
        const int64_t pitch = end ? STEP : lda;
        _tile_loadd(4, from, pitch);
        _tile_loadd(6, b, STEP);
        ENFOLD_TILE_PRODUCT(0, 4, 6);
        if (N > 1) {
            _tile_loadd(7, b + panel, STEP);
            ENFOLD_TILE_PRODUCT(1, 4, 7);
        }
        if (M > 1) {
            _tile_loadd(5, from + 16 * pitch, pitch);
            ENFOLD_TILE_PRODUCT(2, 5, 6);
            if (N > 1) { ENFOLD_TILE_PRODUCT(3, 5, 7); }
        }
        ahead.step();
    }
    _tile_stored(0, c, line);
    if (N > 1) _tile_stored(1, c + 16, line);
    if (M > 1) _tile_stored(2, c + 16 * ldc, line);
    if (M > 1 && N > 1) _tile_stored(3, c + 16 * ldc + 16, line);
}

#endif

}  // namespace enfold
