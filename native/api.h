// What Python sees: functions declared ENFOLD take pointers, sizes and a number of threads, check
// nothing (the wrappers in src/enfold/nn/native do) and never throw.
#pragma once

#include <cstddef>
#include <cstdint>

#define ENFOLD extern "C" __attribute__((visibility("default")))

// Instructions of the level that is being compiled (see LEVELS in build.py).
#if defined(__AMX_BF16__) && defined(__AMX_INT8__)
#define ENFOLD_AMX 1
#endif
#if defined(__AVX512BF16__) && defined(__AVX512VNNI__)
#define ENFOLD_BF16 1  // and VNNI
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define ENFOLD_AVX512 1
#endif
#if defined(__AVX2__) && defined(__FMA__)
#define ENFOLD_AVX2 1
#endif
