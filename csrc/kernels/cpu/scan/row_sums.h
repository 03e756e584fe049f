// Running sums of floats along rows. The running sums within a register are made by adding it to itself, moved by 1, 2 and 4
// lanes, and only the sum of all before it runs from register to register:
//
//   x          a    b    c    d        in double
//   moved 1    0    a    b    c
//   moved 2    0    0   a  a+b         of the sum so far
//   running    a  a+b a+b+c a+b+c+d    plus the total of the registers before
//
// Of a row of 65,536 elements and more, the sums of pieces come first, then each piece with what came before it: two reads
// an element, but all threads share the row.
#pragma once
#include <type_traits>

#include "core/parallel.h"
#include "kernels/arguments/scan.h"
#include "kernels/cpu/shuffle.h"

namespace tg::TG_ISA {

inline constexpr int64_t piece_elements = 16384;  // some tens of microseconds

using Doubles = Vec<double>;

// Lane i of the result is lane i - by of v, 0 for i < by.
template <int by> TG_INLINE Doubles moved_up(Doubles v) {
  Doubles::Int places;
  for (int i = 0; i < Doubles::width; ++i) places[i] = static_cast<uint64_t>(i >= by ? i - by : Doubles::width);
  const Doubles zero(0.0);
  return shuffled(v, zero, places);
}
template <class V> TG_INLINE V reversed(V v) {
  typename V::Int places;
  for (int i = 0; i < V::width; ++i) places[i] = static_cast<decltype(places[0] + 0)>(V::width - 1 - i);
  return shuffled(v, v, places);
}
TG_INLINE Doubles running(Doubles v) {
  v += moved_up<1>(v);
  if constexpr (Doubles::width > 2) v += moved_up<2>(v);
  if constexpr (Doubles::width > 4) v += moved_up<4>(v);
  return v;
}
TG_INLINE Doubles last_everywhere(Doubles v) { return Doubles(v.v[Doubles::width - 1]); }

// Elements [begin, end) of a row in the order of the walk, the sum of those before them in `carry`; gives the sum after them.
template <class S, bool reverse, bool store>
static double sum_along(const S* in, S* out, int64_t size, int64_t begin, int64_t end, double carry) {
  using T = std::conditional_t<std::is_same_v<S, double>, double, float>;
  using V = Vec<T>;
  Doubles total(carry);
  for (int64_t i = begin; i < end; i += V::width) {
    const int64_t n = end - i < V::width ? end - i : V::width;
    const int64_t place = reverse ? size - i - n : i;  // of the n elements
    V x = V::load(in + place, n, T(0));
    if constexpr (reverse) {
      x = reversed(x);
      if (n < V::width) {  // the dead lanes came first: bring the live ones there
        T lanes[2 * V::width] = {};
        x.store(lanes);
        x = V::load(lanes + V::width - n);
      }
    }
    V y;
    if constexpr (std::is_same_v<T, double>) {
      y = total + running(x);
      total = total + last_everywhere(running(x));
    } else {
      const Doubles low = running(widen_low(x)), high = running(widen_high(x));
      const Doubles middle = total + last_everywhere(low);
      y = narrow(total + low, middle + high);
      total = middle + last_everywhere(high);
    }
    if constexpr (store) {
      if constexpr (reverse) {
        y = reversed(y);
        if (n < V::width) {
          T lanes[2 * V::width] = {};
          y.store(lanes);
          y = V::load(lanes + V::width - n);
        }
      }
      y.store(out + place, n);
    }
  }
  return total.v[0];
}

template <class S, bool reverse> static void sum_rows(const Launch& launch, const Scan& s) {
  const S* const in = static_cast<const S*>(s.in);
  S* const out = static_cast<S*>(s.out);
  constexpr int64_t most = 256;  // pieces of a row
  if (s.size >= 4 * piece_elements) {
    const int64_t even = (s.size + most - 1) / most, piece = even > piece_elements ? (even + 63) / 64 * 64 : piece_elements;
    double sums[most];
    for (int64_t row = 0; row < s.outer; ++row) {
      const S* const x = in + row * s.size;
      S* const y = out + row * s.size;
      parallel_for(launch, s.size, piece, [&](int64_t begin, int64_t end) {
        sums[begin / piece] = sum_along<S, reverse, false>(x, y, s.size, begin, end, 0);
      });
      double before = 0;
      for (int64_t begin = 0; begin < s.size; begin += piece) {
        const double here = sums[begin / piece];
        sums[begin / piece] = before;
        before += here;
      }
      parallel_for(launch, s.size, piece, [&](int64_t begin, int64_t end) {
        sum_along<S, reverse, true>(x, y, s.size, begin, end, sums[begin / piece]);
      });
    }
    return;
  }
  const int64_t each = piece_elements / s.size;
  parallel_for(launch, s.outer, each > 1 ? each : 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      sum_along<S, reverse, true>(in + row * s.size, out + row * s.size, s.size, 0, s.size, 0);
  });
}

}  // namespace tg::TG_ISA
