// resample: every result is a weighted sum of a few rows and columns of its plane. That one sentence is interpolation of any
// kind (nearest, linear, cubic, area, antialiased), average pooling, and the gradients of both, which are the same sum with
// rows and columns of the weight matrices exchanged.
//
//   out[p] = R in[p] C^T / divisor        in (planes, H, W),  R (H', H) and C (W', W) sparse: a list of taps per row
//
// Cutting up: for each row of the result,
//
//   1. down:    the rows it looks at are summed into one buffer row of W places (in L1), plain vector arithmetic
//   2. across:  each register of results picks its places from the buffer by a permutation worked out beforehand, or each
//               result of large windows sums its own stretch of the buffer (column_plan.h)
//
// A row of the result that looks at the same as the row above is copied from it: gradients of windows that do not overlap, and
// enlarged images, consist of such rows.
//
// Cost: H' (taps of a row) W + H' W' (taps of a column) multiply-adds; every input row that a result looks at is read once for it.
//
// Numerics: computed in float32 (double for double); both sums are fma chains in the order of the taps (a stretch: a chain in
// each lane, then the lanes), so a result depends on the taps alone, not on the number of threads. An element that is not looked at has no influence, whatever it is.
#include "core/parallel.h"
#include "kernels/cpu/column_plan.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

template <class T, class S> TG_INLINE T widened(S x) {
  if constexpr (sizeof(S) == 2) return to_float(x);
  else return x;
}

// Row i's taps: pointers would need room for any number of them, so rows are found by number.
template <class S> struct RowTaps {
  const S* plane;
  int64_t row_length, count;
  const int64_t* index;
  const double* weight;
  int64_t own;  // the row itself, where there are no taps

  RowTaps(const Taps& rows, const S* plane, int64_t row_length, int64_t i) : plane(plane), row_length(row_length), own(i) {
    const int64_t first = rows.first ? rows.first[i] : 0;
    count = rows.first ? rows.first[i + 1] - first : 1;
    index = rows.first ? rows.index + first : &own;
    weight = rows.first ? rows.weight + first : nullptr;
  }
  const S* row(int64_t k) const { return plane + index[k] * row_length; }
  double factor(int64_t k) const { return weight ? weight[k] : 1.0; }
};

// Step 1 for places [begin, end): to[0 ...] = the weighted sum of the rows, over a divisor.
template <class S, class T, class To>
static void sum_down(const RowTaps<S>& taps, int64_t begin, int64_t end, T divisor, To* to) {
  constexpr int64_t width = Vec<T>::width;
  const Vec<T> over(divisor);
  const bool divide = divisor != T(1);
  auto finish = [&](Vec<T> sum, int64_t j) TG_INLINE_LAMBDA { (divide ? sum / over : sum).store(to + (j - begin), end - j); };
  if (taps.count == 1) {
    const S* row = taps.row(0);
    const Vec<T> weight(T(taps.factor(0)));
    for (int64_t j = begin; j < end; j += width) finish(weight * Vec<T>::load(row + j, end - j), j);
  } else if (taps.count == 2) {
    const S *row0 = taps.row(0), *row1 = taps.row(1);
    const Vec<T> weight0(T(taps.factor(0))), weight1(T(taps.factor(1)));
    for (int64_t j = begin; j < end; j += width) {
      const Vec<T> sum = weight0 * Vec<T>::load(row0 + j, end - j);
      finish(fma(weight1, Vec<T>::load(row1 + j, end - j), sum), j);
    }
  } else if (taps.count <= 32) {
    const S* row[32];
    T weight[32];
    for (int64_t k = 0; k < taps.count; ++k) row[k] = taps.row(k), weight[k] = T(taps.factor(k));
    for (int64_t j = begin; j < end; j += width) {
      Vec<T> sum(T(0));
      for (int64_t k = 0; k < taps.count; ++k) sum = fma(Vec<T>(weight[k]), Vec<T>::load(row[k] + j, end - j), sum);
      finish(sum, j);
    }
  } else {
    for (int64_t j = begin; j < end; j += width) {
      Vec<T> sum(T(0));
      for (int64_t k = 0; k < taps.count; ++k)
        sum = fma(Vec<T>(T(taps.factor(k))), Vec<T>::load(taps.row(k) + j, end - j), sum);
      finish(sum, j);
    }
  }
}

// The results of a block one by one, each a stretch of the row.
template <class T> static Vec<T> sum_stretches(const ColumnTap<T>& tap, int64_t taps, const T* row) {
  constexpr int64_t width = Vec<T>::width;
  T sums[width];
  for (int64_t l = 0; l < width; ++l) {
    const T *const from = row + tap.base + tap.lanes[l], *const weight = tap.weight + l * taps;
    const int64_t count = tap.lanes[width + l];
    Vec<T> sum(T(0));
    for (int64_t k = 0; k < count; k += width)
      sum = fma(Vec<T>::load(weight + k, count - k), Vec<T>::load(from + k, count - k), sum);
    sums[l] = count ? reduce_add(sum) : T(0);
  }
  return Vec<T>::load(sums);
}

// Step 2 for one block, from a row of which place 0 is at `row`.
template <class S, class T>
TG_INLINE void sum_across(const ColumnPlan<T>& plan, int64_t block, const T* row, Vec<T> row_divisor, bool divide, S* out) {
  Vec<T> sum(T(0));
  const int64_t begin = plan.first[block], end = plan.first[block + 1];
  const bool stretches = begin < end && plan.taps[begin].kind == ColumnTap<T>::stretches;
  if (stretches) sum = sum_stretches(plan.taps[begin], end - begin, row);
  for (int64_t k = stretches ? end : begin; k < end; ++k) {
    const ColumnTap<T>& tap = plan.taps[k];
    const Vec<T> weight = Vec<T>::load(tap.weight), added = fma(weight, pick(row, tap), sum);
    sum = tap.ragged ? select(weight != Vec<T>(T(0)), added, sum) : added;
  }
  const int64_t o = block * Vec<T>::width;
  if (divide) sum = sum / (plan.divisor ? row_divisor * Vec<T>::load(plan.divisor + o) : row_divisor);
  sum.store(out + o, plan.out - o);
}

// A block whose places do not fit the buffer.
template <class S, class T>
static void sum_far(const RowTaps<S>& taps, const ColumnPlan<T>& plan, int64_t block, T row_divisor, const Taps& cols, S* out) {
  const int64_t last = (block + 1) * plan.width < plan.out ? (block + 1) * plan.width : plan.out;
  for (int64_t o = block * plan.width; o < last; ++o) {
    T total = 0;
    for (int64_t b = cols.first[o]; b < cols.first[o + 1]; ++b) {
      T column = 0;
      for (int64_t k = 0; k < taps.count; ++k) column += T(taps.factor(k)) * widened<T>(taps.row(k)[cols.index[b]]);
      total += T(cols.weight[b]) * column;
    }
    Vec<T>(total / (plan.divisor ? row_divisor * plan.divisor[o] : row_divisor)).store(out + o, 1);
  }
}

template <class S, class T>
static void resample_row(const Resample& v, const ColumnPlan<T>& plan, const S* plane, int64_t i, S* out, const S* in_end) {
  const RowTaps<S> taps(v.rows, plane, v.cols.in, i);
  const T row_divisor = v.rows.divisor ? static_cast<T>(v.rows.divisor[i]) : T(1);
  if (!v.cols.first) return sum_down<S, T>(taps, 0, v.cols.in, row_divisor, out);
  const bool divide = v.rows.divisor || v.cols.divisor;
  if constexpr (sizeof(S) == sizeof(T)) {  // a single row as it is: nothing to sum, and no need of a copy
    if (taps.count == 1 && taps.factor(0) == 1 && in_end - taps.row(0) >= v.cols.in + plan.padding) {
      for (int64_t block = 0; block < plan.blocks; ++block)
        sum_across<S, T>(plan, block, taps.row(0), Vec<T>(row_divisor), divide, out);
      return;
    }
  }
  T buffer[plan_places + ColumnPlan<T>::padding];
  for (int64_t block = 0; block < plan.blocks;) {
    if (plan.reaches_too_far(block)) {
      sum_far<S, T>(taps, plan, block++, row_divisor, v.cols, out);
      continue;
    }
    int64_t begin, end;
    const int64_t stop = plan.run(block, begin, end);
    sum_down<S, T>(taps, begin, end, T(1), buffer);
    for (; block < stop; ++block) sum_across<S, T>(plan, block, buffer - begin, Vec<T>(row_divisor), divide, out);
  }
}

// Do rows i and i - 1 of the result look at the same with the same weights?
static bool repeats_row_above(const Taps& rows, int64_t i) {
  if (i == 0 || !rows.first) return false;
  const int64_t first = rows.first[i], above = rows.first[i - 1], count = rows.first[i + 1] - first;
  if (count != first - above || (rows.divisor && rows.divisor[i] != rows.divisor[i - 1])) return false;
  for (int64_t k = 0; k < count; ++k)
    if (rows.index[first + k] != rows.index[above + k] || rows.weight[first + k] != rows.weight[above + k]) return false;
  return true;
}

template <class S> TG_INLINE void copy_row(const S* from, S* to, int64_t n) {
  using T = Compute<S>;
  if constexpr (sizeof(S) == sizeof(T)) {
    for (int64_t j = 0; j < n; j += Vec<T>::width) Vec<T>::load(from + j, n - j).store(to + j, n - j);
  } else {
    __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(S));
  }
}

// --- rows of the table ------------------------------------------------------------------------------------------------
size_t resample_workspace(const Resample& v) {
  return v.dtype == DType::f64 ? column_plan_bytes<double>(v.cols) : column_plan_bytes<float>(v.cols);
}

Status resample(const Launch& launch, const Resample& v, const void* in, void* out) {
  return visit_floating(v.dtype, [&]<class S>() {
    using T = Compute<S>;
    const ColumnPlan<T> plan = v.cols.first ? plan_columns<T>(v.cols, launch.workspace, true) : ColumnPlan<T>{};
    const int64_t taps = v.rows.first ? (v.rows.first[v.rows.out] + v.rows.out - 1) / v.rows.out : 1;
    const int64_t in_plane = v.rows.in * v.cols.in;
    parallel_for(launch, v.planes * v.rows.out, rows_per_piece(taps * v.cols.in + 2 * v.cols.out),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) {
                     S* const to = static_cast<S*>(out) + row * v.cols.out;
                     const int64_t i = row % v.rows.out;
                     if (row > begin && repeats_row_above(v.rows, i)) copy_row(to - v.cols.out, to, v.cols.out);
                     else
                       resample_row<S, T>(v, plan, static_cast<const S*>(in) + row / v.rows.out * in_plane, i, to,
                                          static_cast<const S*>(in) + v.planes * in_plane);
                   }
                 });
    return Status{};
  });
}

}  // namespace tg::TG_ISA
