// ONE_AT_A_TIME before a function: the compiler must not use vector registers in it.
#pragma once
#if defined(__clang__)
#define ONE_AT_A_TIME
#define SCALAR_LOOP _Pragma("clang loop vectorize(disable) interleave(disable)")
#else
#define ONE_AT_A_TIME __attribute__((optimize("no-tree-vectorize")))
#define SCALAR_LOOP
#endif
