// A step by itself, as the cells take it: both products, with x and with h, and the gates' functions in one pass.
//
// Packing the weights would not pay for one use. So they stay where they lie and take the left side of the tile, by rows, while
// the few rows of x and h are packed as columns:
//
//                     48 sequences (AVX-512)
//                    +--------------------+
//          x^T, h^T  |  packed panel      |  I, then H terms
//                    +--------------------+
//   16 units of W_i  |  sums, 8 rows at   |
//     as they lie    |  a time            |    the same for every gate; then 16 x 16 blocks are turned, and the gates'
//                    +--------------------+    functions run over the units of one sequence
//
// The weights are read once per 48 sequences, and the sums never leave the first-level cache.
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/rnn/units.h"

namespace tg::TG_ISA {

// Which rows of the weights a sum is made of. The GRU keeps what h gives n apart from what x gives it.
template <int gates> struct StepSums {
  static constexpr int count = gates == 3 ? 4 : gates;
  static constexpr int of_x(int sum) { return gates != 3 || sum < 2 ? sum : sum == 2 ? -1 : 2; }
  static constexpr int of_h(int sum) { return gates == 3 && sum == 3 ? -1 : sum; }
};

template <class T, int gates> class OneStep {
  using P = Products<T>;
  using V = Vec<T>;
  using Sums = StepSums<gates>;
  static constexpr int64_t width = V::width;

 public:
  OneStep(const Recurrent& r, void* base) : r_(r) {
    x_panels_ = static_cast<T*>(base);
    h_panels_ = x_panels_ + panels() * panel_elements(r.features);
  }
  static int64_t bytes(const Recurrent& r) {
    return ceil_div(r.batch, nr<P>) * (panel_elements(r.features) + panel_elements(r.hidden)) * int64_t(sizeof(T));
  }

  template <class Finish> void run(const Launch& launch, const Finish& finish) {
    parallel_for(launch, 2 * panels(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) pack(i / 2, i % 2 == 0);
    });
    parallel_for(launch, ceil_div(r_.hidden, width), 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block)
        for (int64_t panel = 0; panel < panels(); ++panel) units(block * width, panel, finish);
    });
  }

 private:
  static int64_t panel_elements(int64_t terms) { return terms * nr<P> + int64_t(64 / sizeof(T)); }
  int64_t panels() const { return ceil_div(r_.batch, nr<P>); }
  int64_t sequences(int64_t panel) const { return smaller(nr<P>, r_.batch - panel * nr<P>); }

  void pack(int64_t panel, bool of_x) {
    const int64_t terms = of_x ? r_.features : r_.hidden;
    const T* const rows = static_cast<const T*>(of_x ? r_.x : r_.h0) + panel * nr<P> * terms;
    T* const to = (of_x ? x_panels_ : h_panels_) + panel * panel_elements(terms);
    Pack<P, T>::panels(Source<T>{rows, 1, terms}, {terms, sequences(panel), nr<P>, to, 0, true});
  }

  // `width` units from `unit` on, for the sequences of one panel.
  template <class Finish> void units(int64_t unit, int64_t panel, const Finish& finish) {
    const int64_t count = smaller(width, r_.hidden - unit), sequence = panel * nr<P>, n = sequences(panel);
    const int64_t vectors = ceil_div(n, width);
    alignas(64) T sums[Sums::count * width * nr<P>], turned[Sums::count * width * width];
    if (count < width) __builtin_memset(sums, 0, sizeof sums);
    for (int s = 0; s < Sums::count; ++s) {
      T* const to = sums + s * width * nr<P>;
      if (Sums::of_x(s) >= 0)
        multiply(static_cast<const T*>(r_.weight_ih), Sums::of_x(s) * r_.hidden + unit, r_.features, count,
                 x_panels_ + panel * panel_elements(r_.features), vectors, to, false);
      if (Sums::of_h(s) >= 0)
        multiply(static_cast<const T*>(r_.weight_hh), Sums::of_h(s) * r_.hidden + unit, r_.hidden, count,
                 h_panels_ + panel * panel_elements(r_.hidden), vectors, to, Sums::of_x(s) >= 0);
    }
    for (int64_t first = 0; first < n; first += width) {
      for (int s = 0; s < Sums::count; ++s) turn(sums + s * width * nr<P> + first, turned + s * width);
      for (int64_t q = first; q < smaller(n, first + width); ++q)
        finish(Units<T>{sequence + q, sequence + q, -1, unit, count, turned + (q - first) * Sums::count * width});
    }
  }

  // sums (count, vectors * width) = or += rows [row, row + count) of a weight with `terms` columns, times a panel
  static void multiply(const T* weight, int64_t row, int64_t terms, int64_t count, const T* panel, int64_t vectors, T* sums,
                       bool add) {
    const int64_t tile_rows = ceil_div(count, ceil_div(count, mr)), ld = vectors * width;
    int64_t k = 0;
    do {  // once even if there is no term: the sum is then empty
      for (int64_t i = 0; i < count; i += tile_rows)
        find_tile<P, true>(smaller(tile_rows, count - i),
                           vectors)({smaller(kc, terms - k), weight + (row + i) * terms + k, terms, panel + k * ld, ld,
                                     sums + i * nr<P>, nr<P>, add || k > 0});
      k += kc;
    } while (k < terms);
  }

  // A block of units and sequences: lines of sequences become lines of units.
  static void turn(const T* sums, T* to) {
    V block[width];
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) block[i] = V::load(sums + i * nr<P>);
    transpose(block);
#pragma GCC unroll 16
    for (int i = 0; i < width; ++i) block[i].store(to + i * Sums::count * width);
  }

  const Recurrent& r_;
  T *x_panels_, *h_panels_;
};

}  // namespace tg::TG_ISA
