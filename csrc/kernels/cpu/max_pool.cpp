// max_pool: the largest element of each window, over (planes, depth, rows, cols); windows of any size, stride, padding and
// dilation, as lists of taps.
//
//   max_pool           out[p, o] = max of in[p, i] over the places i of window o, and which place that was
//   max_pool_backward  dx[p, i] = sum of dy[p, o] over the windows o whose largest element is i
//
// Cutting up, for each row of results:
//
//   1. down:    the rows of the window are merged into one row of column maxima (in L1); where places are wanted, also the
//               number of the row each maximum came from
//   2. across:  each register of results compares its columns, which a permutation worked out beforehand brings side by side
//               (column_plan.h)
//
//      a b c d e f        max(a,g) max(b,h) max(c,i) ...        max(a,g,b,h)  max(c,i,d,j)  ...
//      g h i j k l
//
// The backward pass finds the places again from the input instead of keeping them: nothing is stored between the passes but
// the input, which is there anyway.
//
// Windows of two columns that touch without overlapping have loops of their own (max_pool_pairs.h).
//
// Cost: one comparison a row and input place, one a column and result. Places: about three times that.
//
// Of equal elements the first in row-major order counts. NaN is larger than everything, and the last NaN counts. Sums of the
// backward pass run in the order of the windows, planes are whole pieces of work: the bits do not depend on the threads.
#include <cstring>

#include "core/parallel.h"
#include "kernels/cpu/column_plan.h"
#include "kernels/cpu/max_pool_pairs.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

static constexpr int64_t row_cost = 64;  // a row takes as long as so many elements, however short it is

// --- values only
template <class S, class T> static void max_down(const WindowRows& rows, const S* plane, int64_t begin, int64_t end, T* to) {
  constexpr int64_t width = Vec<T>::width;
  if (rows.count == 2) {
    const S *row0 = plane + rows.start(0), *row1 = plane + rows.start(1);
    for (int64_t j = begin; j < end; j += width)
      max(Vec<T>::load(row0 + j, end - j), Vec<T>::load(row1 + j, end - j)).store(to + (j - begin));
    return;
  }
  for (int64_t j = begin; j < end; j += width) {
    Vec<T> high = Vec<T>::load(plane + rows.start(0) + j, end - j);
    for (int64_t k = 1; k < rows.count; ++k) high = max(high, Vec<T>::load(plane + rows.start(k) + j, end - j));
    high.store(to + (j - begin));
  }
}

template <class S, class T> TG_INLINE void max_across(const ColumnPlan<T>& plan, int64_t block, const T* row, S* out) {
  const ColumnTap<T>* tap = plan.taps + plan.first[block];
  const int64_t taps = plan.first[block + 1] - plan.first[block], o = block * Vec<T>::width;
  Vec<T> high = pick(row, tap[0]);
  for (int64_t k = 1; k < taps; ++k) high = max(high, pick(row, tap[k]));
  high.store(out + o, plan.out - o);
}

// --- values and places
template <class S, class T>
static void best_down(const WindowRows& rows, const S* plane, int64_t begin, int64_t end, T* values, T* numbers) {
  for (int64_t j = begin; j < end; j += Vec<T>::width) {
    Best<T> best{Vec<T>::load(plane + rows.start(0) + j, end - j), Vec<T>(T(0)), Vec<T>(T(0))};
    for (int64_t k = 1; k < rows.count; ++k)
      best.further_down(Vec<T>::load(plane + rows.start(k) + j, end - j), Vec<T>(static_cast<T>(k)));
    best.value.store(values + (j - begin));
    best.row.store(numbers + (j - begin));
  }
}

template <class T> TG_INLINE Best<T> best_across(const ColumnPlan<T>& plan, int64_t block, const T* values, const T* numbers) {
  const ColumnTap<T>* tap = plan.taps + plan.first[block];
  const int64_t taps = plan.first[block + 1] - plan.first[block];
  Best<T> best{pick(values, tap[0]), pick(numbers, tap[0]), Vec<T>(T(0))};
  for (int64_t k = 1; k < taps; ++k) best.further_right(pick(values, tap[k]), pick(numbers, tap[k]), Vec<T>(static_cast<T>(k)));
  return best;
}

// A block whose places do not fit the buffer, element by element.
template <class S, class T>
static Best<T> best_far(const Pool& v, const WindowRows& rows, const ColumnPlan<T>& plan, const S* plane, int64_t block) {
  constexpr int64_t width = Vec<T>::width;
  T value[width] = {}, row[width] = {}, col[width] = {};
  const int64_t taps = v.cols.first[1], o0 = block * width;
  for (int64_t l = 0; l < width && o0 + l < plan.out; ++l) {
    value[l] = -Format<T>::infinity;
    for (int64_t k = 0; k < rows.count; ++k) {
      const S* x = plane + rows.start(k);
      for (int64_t c = 0; c < taps; ++c) {
        T element;
        if constexpr (sizeof(S) == 2) element = to_float(x[v.cols.index[(o0 + l) * taps + c]]);
        else element = x[v.cols.index[(o0 + l) * taps + c]];
        if (element > value[l] || element != element)
          value[l] = element, row[l] = static_cast<T>(k), col[l] = static_cast<T>(c);
      }
    }
  }
  return {Vec<T>::load(value), Vec<T>::load(row), Vec<T>::load(col)};
}

// Calls found(o, count, best) for the registers of a row of results.
template <class S, class T, class F>
TG_INLINE void for_each_best(const Pool& v, const ColumnPlan<T>& plan, const S* plane, int64_t row, const F& found) {
  const WindowRows rows(v, row);
  T values[plan_places + ColumnPlan<T>::padding], numbers[plan_places + ColumnPlan<T>::padding];
  for (int64_t block = 0; block < plan.blocks;) {
    if (plan.reaches_too_far(block)) {
      found(rows, block * plan.width, best_far<S, T>(v, rows, plan, plane, block));
      ++block;
      continue;
    }
    int64_t begin, end;
    const int64_t stop = plan.run(block, begin, end);
    best_down<S, T>(rows, plane, begin, end, values, numbers);
    for (; block < stop; ++block) found(rows, block * plan.width, best_across(plan, block, values - begin, numbers - begin));
  }
}

// The place in the plane of lane l of a register of results that starts at o.
template <class T> struct Places {
  T row[Vec<T>::width], col[Vec<T>::width];
  TG_INLINE explicit Places(const Best<T>& best) { best.row.store(row), best.col.store(col); }
  TG_INLINE int64_t at(const Pool& v, const WindowRows& rows, int64_t o, int64_t l) const {
    return rows.start(static_cast<int64_t>(row[l])) + v.cols.index[(o + l) * v.cols.first[1] + static_cast<int64_t>(col[l])];
  }
};

template <class S, class T>
static void max_pool_row(const Pool& v, const ColumnPlan<T>& plan, const S* plane, int64_t row, S* out, int64_t* places,
                         const S* in_end) {
  if (places) {
    for_each_best<S, T>(v, plan, plane, row, [&](const WindowRows& rows, int64_t o, const Best<T>& best) TG_INLINE_LAMBDA {
      best.value.store(out + o, plan.out - o);
      const Places<T> found(best);
      for (int64_t l = 0; l < plan.width && o + l < plan.out; ++l) places[o + l] = found.at(v, rows, o, l);
    });
    return;
  }
  const WindowRows rows(v, row);
  if constexpr (sizeof(S) == sizeof(T)) {  // windows of one row: nothing to merge, and no need of a copy
    if (rows.count == 1 && in_end - (plane + rows.start(0)) >= v.cols.in + plan.padding) {
      for (int64_t block = 0; block < plan.blocks; ++block) max_across(plan, block, plane + rows.start(0), out);
      return;
    }
  }
  T buffer[plan_places + ColumnPlan<T>::padding];
  for (int64_t block = 0; block < plan.blocks;) {
    if (plan.reaches_too_far(block)) {
      best_far<S, T>(v, rows, plan, plane, block).value.store(out + block * plan.width, plan.out - block * plan.width);
      ++block;
      continue;
    }
    int64_t begin, end;
    const int64_t stop = plan.run(block, begin, end);
    max_down<S, T>(rows, plane, begin, end, buffer);
    for (; block < stop; ++block) max_across(plan, block, buffer - begin, out);
  }
}

// --- rows of the table ------------------------------------------------------------------------------------------------
size_t max_pool_workspace(const Pool& v) {
  return v.dtype == DType::f64 ? column_plan_bytes<double>(v.cols) : column_plan_bytes<float>(v.cols);
}

Status max_pool(const Launch& launch, const Pool& v, const void* in, void* out, int64_t* places) {
  return visit_floating(v.dtype, [&]<class S>() {
    using T = Compute<S>;
    const ColumnPlan<T> plan = plan_columns<T>(v.cols, launch.workspace);
    const int64_t rows = v.depth.out * v.rows.out, in_plane = v.depth.in * v.rows.in * v.cols.in;
    const int64_t window_rows = v.depth.first[1] * v.rows.first[1];
    const bool pairs = !places && windows_are_pairs(v);
    parallel_for(launch, v.planes * rows, rows_per_piece(window_rows * v.cols.in + v.cols.out + row_cost),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row) {
                     if constexpr (sizeof(S) == sizeof(T)) {
                       if (pairs) {
                         max_of_pairs(WindowRows(v, row % rows), static_cast<const T*>(in) + row / rows * in_plane, v.cols.out,
                                      static_cast<T*>(out) + row * v.cols.out);
                         continue;
                       }
                     }
                     max_pool_row<S, T>(v, plan, static_cast<const S*>(in) + row / rows * in_plane, row % rows,
                                        static_cast<S*>(out) + row * v.cols.out, places ? places + row * v.cols.out : nullptr,
                                        static_cast<const S*>(in) + v.planes * in_plane);
                   }
                 });
    return Status{};
  });
}

// float32 and float64: 16-bit floats would be rounded after every addition.
Status max_pool_backward(const Launch& launch, const Pool& v, const void* in, const void* dy, void* dx) {
  auto run = [&]<class T>() {
    const ColumnPlan<T> plan = plan_columns<T>(v.cols, launch.workspace);
    const int64_t rows = v.depth.out * v.rows.out, in_plane = v.depth.in * v.rows.in * v.cols.in;
    const bool pairs = windows_are_pairs(v);
    const bool whole = pairs && rows * v.depth.first[1] * v.rows.first[1] * 2 * v.cols.out == in_plane;  // all are written
    parallel_for(launch, v.planes, rows_per_piece(in_plane + rows * (v.cols.out + row_cost)), [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        T* dx_plane = static_cast<T*>(dx) + p * in_plane;
        if (!whole) memset(dx_plane, 0, static_cast<size_t>(in_plane) * sizeof(T));
        for (int64_t row = 0; row < rows; ++row) {
          const T* dy_row = static_cast<const T*>(dy) + (p * rows + row) * v.cols.out;
          if (pairs) {
            place_pairs(WindowRows(v, row), static_cast<const T*>(in) + p * in_plane, dy_row, v.cols.out, dx_plane);
            continue;
          }
          for_each_best<T, T>(v, plan, static_cast<const T*>(in) + p * in_plane, row,
                              [&](const WindowRows& window, int64_t o, const Best<T>& best) TG_INLINE_LAMBDA {
                                const Places<T> found(best);
                                for (int64_t l = 0; l < plan.width && o + l < plan.out; ++l)
                                  dx_plane[found.at(v, window, o, l)] += dy_row[o + l];
                              });
        }
      }
    });
    return Status{};
  };
  if (v.dtype == DType::f32) return run.template operator()<float>();
  if (v.dtype == DType::f64) return run.template operator()<double>();
  return {Status::missing};
}

}  // namespace tg::TG_ISA
