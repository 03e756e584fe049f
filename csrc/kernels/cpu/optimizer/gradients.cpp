// Clipping gradients: one norm over many buffers, and one factor for all of them.
//
//   total_norm   (sum over all elements |x|^p)^(1/p) for p = 1 and 2; the largest |x| for p = infinity
//   scale_all    x = x factor
//
// Every piece of at most 16384 elements is reduced by itself (pieces.h) and its result kept; the pieces are joined in order, so
// the norm has the same bits for any number of threads. A NaN anywhere makes the norm NaN.
//
// Cost: one read, and one write for scale_all. Memory sets the pace. Numerics: within a piece in the buffers' type, four
// registers side by side (squares of float32 in double: they overflow early); pieces are joined in double.
#include <cmath>

#include "kernels/cpu/optimizer/pieces.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

static double norm_of(const float* x, int64_t n, double p) {
  if (p == 1)
    return sum_of<float>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA { return abs(Vec<float>::load(x + i, count)); });
  double sum = 0;  // a register at a time, widened
  constexpr int64_t width = Vec<double>::width;
  Vec<double> squares[4] = {Vec<double>(0.0), Vec<double>(0.0), Vec<double>(0.0), Vec<double>(0.0)};
  int64_t i = 0;
  for (; i + 4 * width <= n; i += 4 * width)
    for (int q = 0; q < 4; ++q) {
      double lanes[width];
      for (int64_t j = 0; j < width; ++j) lanes[j] = double(x[i + q * width + j]);
      const Vec<double> v = Vec<double>::load(lanes);
      squares[q] = fma(v, v, squares[q]);
    }
  for (; i < n; ++i) sum += double(x[i]) * double(x[i]);
  return sum + reduce_add((squares[0] + squares[1]) + (squares[2] + squares[3]));
}
static double norm_of(const double* x, int64_t n, double p) {
  return sum_of<double>(n, [&](int64_t i, int64_t count) TG_INLINE_LAMBDA {
    const Vec<double> v = Vec<double>::load(x + i, count);
    return p == 1 ? abs(v) : v * v;
  });
}

template <class T> static double largest(const T* x, int64_t n) {
  Vec<T> high[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
  for_each_register<T, 4>(n, [&](int64_t i, int64_t count, int slot)
                                 TG_INLINE_LAMBDA { high[slot] = max(abs(Vec<T>::load(x + i, count)), high[slot]); });
  return double(reduce_max(max(max(high[0], high[1]), max(high[2], high[3]))));
}

template <class T> static double total_norm_of(const Launch& launch, const ParameterList& list, double p) {
  double* const kept = static_cast<double*>(launch.workspace);
  const bool infinite = p == __builtin_inf();
  for_each_piece(launch, list, piece_size, [&](int64_t k, int64_t first, int64_t n, int64_t number) {
    const T* const x = static_cast<const T*>(list.gradients[k]) + first;
    kept[number] = infinite ? largest(x, n) : norm_of(x, n, p);
  });
  double total = 0;
  for (int64_t i = 0; i < pieces_of_all(list); ++i) {
    if (!infinite) total += kept[i];
    else if (kept[i] > total || kept[i] != kept[i]) total = kept[i] == kept[i] && total != total ? total : kept[i];
  }
  return p == 2 ? ::sqrt(total) : total;
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status total_norm(const Launch& launch, const ParameterList& list, double p, double* out) {
  if (list.dtype == DType::f32) *out = total_norm_of<float>(launch, list, p);
  else if (list.dtype == DType::f64) *out = total_norm_of<double>(launch, list, p);
  else return {Status::missing, 0};
  return {};
}
size_t total_norm_workspace(const ParameterList& list) { return size_t(pieces_of_all(list)) * sizeof(double); }

template <class T> static void scale_all_of(const Launch& launch, const ParameterList& list, double factor) {
  const Vec<T> by{T(factor)};
  for_each_piece(launch, list, even_piece(list), [&](int64_t k, int64_t first, int64_t n, int64_t) {
    T* const x = static_cast<T*>(list.parameters[k]) + first;
    for_each_register<T, 4>(
        n, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA { (Vec<T>::load(x + i, count) * by).store(x + i, count); });
  });
}

Status scale_all(const Launch& launch, const ParameterList& list, double factor) {
  if (list.dtype == DType::f32) scale_all_of<float>(launch, list, factor);
  else if (list.dtype == DType::f64) scale_all_of<double>(launch, list, factor);
  else return {Status::missing, 0};
  return {};
}

}  // namespace tg::TG_ISA
