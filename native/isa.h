// The name of an exported function in this translation unit: one per instruction set.
#pragma once
#include <math.h>
#ifndef ENFOLD
#define ENFOLD(name) enfold_##name
#endif
