// Whether this processor can run the level that the library was compiled for.
// Compiled without the level's instructions, so that it runs everywhere.
#include "api.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

#if defined(ENFOLD_LEVEL_AMX)
bool amx() {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const unsigned bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25;
    if ((d & (bf16 | tile | int8)) != (bf16 | tile | int8)) return false;
#if defined(__linux__)
    const long ask = 0x1023, tiledata = 18;  // ARCH_REQ_XCOMP_PERM: the kernel grants tiles
    return syscall(SYS_arch_prctl, ask, tiledata) == 0;
#else
    return false;
#endif
}
#endif

[[maybe_unused]] bool avx512() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
    return false;
#endif
}

[[maybe_unused]] bool bf16() {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return avx512() && __builtin_cpu_supports("avx512vnni") &&
           __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5));
#else
    return false;
#endif
}

}  // namespace

ENFOLD int enfold_supported() {
#if defined(ENFOLD_LEVEL_AMX)
    return bf16() && amx();
#elif defined(ENFOLD_LEVEL_AVX512BF16)
    return bf16();
#elif defined(ENFOLD_LEVEL_AVX512)
    return avx512();
#elif defined(ENFOLD_LEVEL_AVX2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("f16c");
#else
    return 1;
#endif
}

// A digest of the declarations that the library was built from (`interface` in build.py).
ENFOLD const char* enfold_interface() { return ENFOLD_INTERFACE; }
