// What the recurrent kernels share: the walk over the steps of a sequence, and the product with h at each of them.
//
// The weights are packed once per call, so that a step is one stream through panels that are read in order:
//
//            one group: 3 blocks of 16 hidden units (AVX-512)         a block's columns: its units in every gate
//          [ i0 f0 g0 | o0 i1 f1 | g1 o1 i2 | f2 g2 o2 ]              i0 = columns of gate i for units 0..15
//     h    +----------+----------+----------+----------+
//   8 rows |  panel   |  panel   |  panel   |  panel   |  = (8, 3 * 4 * 16) sums, kept aside in the 1st-level cache; then the
//          +----------+----------+----------+----------+  gates' functions run over them, while all gates of a unit are there
//
// A panel is as wide as the register tile of the matrix product (matmul/tile.h), which does the multiplications at the same
// pace. The sums of k are cut every 512 terms, as there.
//
// Threads: over sequences (rows of the batch), each from the first step to the last, so that nobody waits for anybody; with
// few sequences over groups of hidden units, step by step. Either way every element is one sum by one thread, and its bits
// depend neither on threads nor on the other rows.
#pragma once
#include "kernels/cpu/rnn/one_step.h"

namespace tg::TG_ISA {

// --- the walk ---------------------------------------------------------------------------------------------------------
struct Step {
  int64_t start, rows;         // this step's rows, at `start` of all
  int64_t continuing, before;  // the first `continuing` go on from the rows at `before`; the others begin here
  int64_t staying;             // rows from here on end with this step
};

TG_INLINE int64_t rows_at(const Recurrent& r, int64_t t) { return r.batch_sizes ? r.batch_sizes[t] : r.batch; }

template <class F> TG_INLINE void for_each_step(const Recurrent& r, bool ascending, const F& f) {
  int64_t start = ascending ? 0 : r.rows;
  for (int64_t i = 0; i < r.steps; ++i) {
    const int64_t t = ascending ? i : r.steps - 1 - i, n = rows_at(r, t);
    if (!ascending) start -= n;
    Step step{start, n, 0, 0, 0};
    const int64_t before = r.reverse ? t + 1 : t - 1, after = r.reverse ? t - 1 : t + 1;
    if (before >= 0 && before < r.steps) {
      step.continuing = smaller(n, rows_at(r, before));
      step.before = r.reverse ? start + n : start - rows_at(r, before);
    }
    if (after >= 0 && after < r.steps) step.staying = smaller(n, rows_at(r, after));
    f(step);
    if (ascending) start += n;
  }
}

// The last state of every sequence, `from` (N, stride) to (B, H).
template <class T> static void copy_last(const Recurrent& r, const T* from, int64_t stride, T* to) {
  for_each_step(r, true, [&](const Step& s) {
    for (int64_t b = s.staying; b < s.rows; ++b)
      __builtin_memcpy(to + b * r.hidden, from + (s.start + b) * stride, size_t(r.hidden) * sizeof(T));
  });
}

// --- division among threads -------------------------------------------------------------------------------------------
static constexpr double operations_per_worker = 400'000;  // a second thread pays from about this much work
static constexpr int64_t sequences_per_worker = 4;        // fewer rows leave the tile half empty

// Rows of the steps that belong to the first `sequences`.
TG_INLINE int64_t rows_of_first(const Recurrent& r, int64_t sequences) {
  int64_t n = 0;
  for (int64_t t = 0; t < r.steps; ++t) n += smaller(rows_at(r, t), sequences);
  return n;
}

// Where to cut the batch so that every worker gets about the same number of rows.
static int64_t cut_of_batch(const Recurrent& r, int64_t worker, int64_t workers) {
  if (!r.batch_sizes || worker == 0 || worker == workers) return r.batch * worker / workers;
  int64_t low = 0, high = r.batch;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (rows_of_first(r, middle) * workers < r.rows * worker) low = middle + 1;
    else high = middle;
  }
  return low;
}

// Calls walk(first row, last row, inner): the whole sequence for some rows. `inner` is how a step may be divided further.
template <class Walk> static void divide_steps(const Launch& launch, const Recurrent& r, int gates, const Walk& walk) {
  Launch alone = launch;
  alone.threads = 1;
  const double step = 2.0 * double(r.batch) * gates * double(r.hidden) * double(r.hidden);
  const double useful = step * double(r.steps) / operations_per_worker;
  const int64_t workers = useful < 1 ? 1 : useful < launch.threads ? int64_t(useful) : launch.threads;
  if (workers <= 1) return walk(0, r.batch, alone);
  if (r.batch < sequences_per_worker * workers)
    return walk(0, r.batch, step >= 2 * operations_per_worker && r.weight_hh ? launch : alone);
  parallel_for(launch, workers, 1, [&](int64_t worker, int64_t) {
    walk(cut_of_batch(r, worker, workers), cut_of_batch(r, worker + 1, workers), alone);
  });
}

// --- the product of the forward pass ----------------------------------------------------------------------------------
template <class T, int gates> struct GatePanels {
  using P = Products<T>;
  static constexpr int64_t width = Vec<T>::width, group_units = nr_vectors * width, sums_stride = gates * group_units;
  static constexpr int64_t sums_size = mr * sums_stride;

  int64_t hidden;
  T* packed;

  int64_t groups() const { return ceil_div(hidden, group_units); }
  int64_t bytes() const { return groups() * group_units * gates * hidden * int64_t(sizeof(T)); }
  int64_t units_of(int64_t group) const { return smaller(group_units, hidden - group * group_units); }
  int64_t vectors_of(int64_t group) const { return ceil_div(units_of(group), width) * gates; }
  T* at(int64_t group) const { return packed + group * group_units * gates * hidden; }

  // weight (gates * H, H) to panels.
  [[gnu::noinline]] void pack(const T* weight, int64_t group) const {
    const int64_t vectors = vectors_of(group);
    for (int64_t k = 0; k < hidden; k += kc) {
      const int64_t depth = smaller(kc, hidden - k);
      for (int64_t v = 0; v < vectors; ++v) {
        const int64_t panel = v / nr_vectors, in_panel = smaller(nr_vectors, vectors - panel * nr_vectors);
        const int64_t unit = group * group_units + v / gates * width, gate = v % gates;
        T* const to = at(group) + vectors * width * k + panel * nr<P> * depth + v % nr_vectors * width;
        pack_units(weight + (gate * hidden + unit) * hidden + k, smaller(width, hidden - unit), depth, to, in_panel * width);
      }
    }
  }

  // sums (m, vectors * width) = h (m, H) times a group of panels
  TG_INLINE void multiply(const T* h, int64_t m, int64_t group, T* sums) const {
    const int64_t vectors = vectors_of(group);
    for (int64_t k = 0; k < hidden; k += kc) {
      const int64_t depth = smaller(kc, hidden - k);
      for (int64_t v = 0; v < vectors; v += nr_vectors) {
        const int64_t n = smaller(nr_vectors, vectors - v);
        const T* const b = at(group) + vectors * width * k + v * width * depth;
        find_tile<P, true>(m, n)({depth, h + k, hidden, b, n * width, sums + v * width, sums_stride, k > 0});
      }
    }
  }

 private:
  // Rows of the weight (`units` of them, H apart) become columns of a panel: to[k * ld + unit].
  static void pack_units(const T* rows, int64_t stride, int64_t units, int64_t depth, T* to, int64_t ld) {
    int64_t k = 0;
    for (; units == width && k + width <= depth; k += width) {
      Vec<T> block[width];
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) block[i] = Vec<T>::load(rows + i * stride + k);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < width; ++i) block[i].store(to + (k + i) * ld);
    }
    for (; k < depth; ++k)
      for (int64_t i = 0; i < width; ++i) to[k * ld + i] = i < units ? rows[i * stride + k] : T(0);
  }
  void pack_units(const T* rows, int64_t units, int64_t depth, T* to, int64_t ld) const {
    pack_units(rows, hidden, units, depth, to, ld);
  }
};

// Walks over a sequence; finish(units) turns the product into the new state.
template <class T, int gates, class Finish>
static void run_steps(const Launch& launch, const Recurrent& r, const Finish& finish) {
  if (r.weight_ih) {
    Launch alone = launch;
    alone.threads = 1;
    const double work = 2.0 * double(r.batch) * gates * double(r.hidden) * double(r.features + r.hidden);
    return OneStep<T, gates>(r, launch.workspace).run(work < 2 * operations_per_worker ? alone : launch, finish);
  }
  using Panels = GatePanels<T, gates>;
  const Panels panels{r.hidden, static_cast<T*>(launch.workspace)};
  const T* const weight = static_cast<const T*>(r.weight_hh);
  if (weight)
    parallel_for(launch, panels.groups(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) panels.pack(weight, g);
    });

  // Rows [low, high) of one step, all going on from the rows at h (or all beginning).
  auto rows_of_step = [&](const Step& s, const T* h, bool begins, int64_t low, int64_t high, int64_t group) {
    T sums[Panels::sums_size];
    if (!weight) __builtin_memset(sums, 0, sizeof sums);
    const int64_t tiles = ceil_div(high - low, mr), units = panels.units_of(group);
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const int64_t i = low + (high - low) * tile / tiles, m = low + (high - low) * (tile + 1) / tiles - i;
      if (weight) panels.multiply(h + i * r.hidden, m, group, sums);
      for (int64_t q = 0; q < m; ++q)
        for (int64_t u = 0; u < units; u += Panels::width)
          finish(Units<T>{s.start + i + q, i + q, begins ? -1 : s.before + i + q, group * Panels::group_units + u, units - u,
                          sums + q * Panels::sums_stride + u * gates});
    }
  };
  const T* const y = static_cast<const T*>(r.y);
  const T* const h0 = static_cast<const T*>(r.h0);
  divide_steps(launch, r, gates, [&](int64_t first, int64_t last, const Launch& inner) {
    for_each_step(r, !r.reverse, [&](const Step& s) {
      const int64_t end = smaller(last, s.rows), middle = smaller(end, s.continuing);
      parallel_for(inner, panels.groups(), 1, [&](int64_t begin, int64_t stop) {
        for (int64_t g = begin; g < stop; ++g) {
          if (first < middle) rows_of_step(s, y + s.before * r.hidden, false, first, middle, g);
          const int64_t low = first > s.continuing ? first : s.continuing;
          if (low < end) rows_of_step(s, h0, true, low, end, g);
        }
      });
    });
  });
}

// --- the product of the backward pass ---------------------------------------------------------------------------------
// dh (B, H) = dz (B, K) W_hh (K, H): W_hh lies as the tile wants it; packing lines up its panels and pads the last one.
template <class T> struct GradientPanels {
  using P = Products<T>;
  static constexpr int64_t width = Vec<T>::width;
  int64_t hidden, terms;  // H, K
  T* packed;

  int64_t panels() const { return ceil_div(hidden, nr<P>); }
  int64_t dh_stride() const { return round_up(hidden, width); }
  int64_t elements() const { return panels() * nr<P> * terms + width; }

  void pack(const T* weight, int64_t block) const {
    const int64_t k = block * kc, depth = smaller(kc, terms - k);
    Pack<P, T>::panels(Source<T>{weight + k * hidden, hidden, 1},
                       {depth, hidden, nr<P>, packed + k * panels() * nr<P>, depth * nr<P>, true});
  }

  // Columns of one panel of dh (m, H) = or += dz (m, K) W_hh
  void multiply(const T* dz, int64_t dz_stride, int64_t m, int64_t panel, T* dh, bool add) const {
    const int64_t n = ceil_div(smaller(nr<P>, hidden - panel * nr<P>), width), tiles = ceil_div(m, mr);
    for (int64_t k = 0; k < terms; k += kc) {
      const int64_t depth = smaller(kc, terms - k);
      const T* const b = packed + k * panels() * nr<P> + panel * nr<P> * depth;
      for (int64_t tile = 0; tile < tiles; ++tile) {
        const int64_t i = m * tile / tiles, count = m * (tile + 1) / tiles - i;
        find_tile<P, true>(count, n)({depth, dz + i * dz_stride + k, dz_stride, b, n * width,
                                      dh + i * dh_stride() + panel * nr<P>, dh_stride(), add || k > 0});
      }
    }
  }
};

// Some units of one row of one step, on the way back.
template <class T> struct GradientUnits {
  int64_t row, sequence, before;
  int64_t unit, count;
  Vec<T> dy;  // all that has come to h at this step
  T* dh;      // what of it does not go through W_hh (gru); otherwise not used
};

// Walks back over a sequence; `gradient(units)` writes dz. `dz_offset` is the first column of dz that h has seen.
template <class T, int gates, class Gradient>
static void run_steps_backward(const Launch& launch, const RecurrentBackward& b, int64_t dz_offset, bool keeps,
                               const Gradient& gradient) {
  const Recurrent& r = b.forward;
  const int64_t H = r.hidden;
  T* const dh = static_cast<T*>(launch.workspace);
  GradientPanels<T> panels{H, gates * H, nullptr};
  const int64_t stride = panels.dh_stride();
  panels.packed = dh + r.batch * stride;
  const T* const weight = static_cast<const T*>(r.weight_hh);
  const T *const dy = static_cast<const T*>(b.dy), *const dhn = static_cast<const T*>(b.dhn);
  const T *const y = static_cast<const T*>(r.y), *const h0 = static_cast<const T*>(r.h0);
  T *const dz = static_cast<T*>(b.dz), *const h_before = static_cast<T*>(b.h_before), *const dh0 = static_cast<T*>(b.dh0);
  const size_t row_bytes = size_t(H) * sizeof(T);

  if (weight)
    parallel_for(launch, ceil_div(panels.terms, kc), 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) panels.pack(weight, block);
    });

  auto gates_of_step = [&](const Step& s, int64_t first, int64_t end) {
    for (int64_t q = first; q < end; ++q) {
      const int64_t row = s.start + q, before = q < s.continuing ? s.before + q : -1;
      if (h_before) __builtin_memcpy(h_before + row * H, before < 0 ? h0 + q * H : y + before * H, row_bytes);
      for (int64_t u = 0; u < H; u += Vec<T>::width) {
        Vec<T> d = Vec<T>::load(dh + q * stride + u, H - u);
        if (dy) d += Vec<T>::load(dy + row * H + u, H - u);
        gradient(GradientUnits<T>{row, q, before, u, H - u, d, dh + q * stride + u});
      }
    }
  };
  divide_steps(launch, r, gates, [&](int64_t first, int64_t last, const Launch& inner) {
    for (int64_t q = first; q < last; ++q) {
      if (dhn) __builtin_memcpy(dh + q * stride, dhn + q * H, row_bytes);
      else __builtin_memset(dh + q * stride, 0, row_bytes);
    }
    for_each_step(r, r.reverse, [&](const Step& s) {
      const int64_t end = smaller(last, s.rows);
      if (first >= end) return;
      gates_of_step(s, first, end);
      const int64_t rows = (b.wants_dh0 ? end : smaller(end, s.continuing)) - first;
      if (!weight || rows <= 0) return;
      parallel_for(inner, panels.panels(), 1, [&](int64_t begin, int64_t stop) {
        for (int64_t panel = begin; panel < stop; ++panel)
          panels.multiply(dz + (s.start + first) * b.dz_stride + dz_offset, b.dz_stride, rows, panel, dh + first * stride,
                          keeps);
      });
    });
    for (int64_t q = first; q < last; ++q) __builtin_memcpy(dh0 + q * H, dh + q * stride, row_bytes);
  });
}

// Calls f.operator()<T>() for float and double; the other types have no kernel.
template <class F> TG_INLINE Status visit_wide(DType dtype, const F& f) {
  if (dtype == DType::f32) return f.template operator()<float>();
  if (dtype == DType::f64) return f.template operator()<double>();
  return {Status::missing};
}

}  // namespace tg::TG_ISA
