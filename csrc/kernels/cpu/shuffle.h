// Lanes of two registers in any order that is known when the code is compiled.
#pragma once
#include "kernels/cpu/simd.h"

namespace tg::TG_ISA {

// Lane i of the result is lane places[i] of a, or lane places[i] - width of b.
template <class V> TG_INLINE V shuffled(V a, V b, typename V::Int places) {
#ifdef __clang__
  V out = a;
  for (int i = 0; i < V::width; ++i) {
    const int place = static_cast<int>(places[i]);
    out.v[i] = place < V::width ? a.v[place] : b.v[place - V::width];
  }
  return out;
#else
  return V::raw(__builtin_shuffle(a.v, b.v, places));
#endif
}

}  // namespace tg::TG_ISA
