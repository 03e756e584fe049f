// Losses of one number against one number: forward with the sum in the same pass, and the derivative for x.
//
//   with d = x - y       f(x, y)                                               df/dx
//   mse                  d^2                                                   2 d
//   l1                   |d|                                                   sign(d)
//   smooth_l1 (beta)     d^2 / (2 beta) if |d| < beta, else |d| - beta / 2     d / beta, or sign(d)
//   huber (delta)        d^2 / 2 if |d| <= delta, else delta (|d| - delta/2)   d, or delta sign(d)
//   bce                  -(y log x + (1 - y) log(1 - x)), logs >= -100         (x - y) / max(x (1 - x), 1e-12)
//   bce_with_logits      max(x, 0) - x y + log(1 + e^-|x|)                     sigmoid(x) - y
//   kl_div               y (log y - x), 0 where y = 0                          -y
//   kl_div_log           e^y (y - x)                                           -e^y
//
// Shapes: x, y and dx are `count` contiguous elements of one dtype. Forward gives one loss an element, or their sum (compute
// dtype); backward takes one dloss for each element, or one for all.
//
// Cost: one pass each way, two reads an element and one write where there is one. Memory sets the pace; for the losses with
// logarithms, about 25 operations an element do.
//
// Numerics: computed in float32 (double for double). Sums: pieces of 16384 elements, each in four registers joined by a fixed
// tree, the pieces in double and in order.
#include "core/parallel.h"
#include "kernels/arguments/loss.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

static constexpr int64_t piece = 16384;

template <class T> TG_INLINE Vec<T> sign_of(Vec<T> d) {  // 0 at 0, NaN for NaN
  return select(d == Vec<T>(T(0)), d, select(is_nan(d), d, copysign(Vec<T>(T(1)), d)));
}
template <class T> TG_INLINE Vec<T> limited_log(Vec<T> x) { return max(log(x), Vec<T>(T(-100))); }

template <class T, PointwiseLoss::Kind kind> struct Loss {
  using V = Vec<T>;
  V parameter, inverse, half;
  explicit Loss(double p) : parameter(T(p)), inverse(T(1 / p)), half(T(p / 2)) {}

  TG_INLINE V value(V x, V y) const {
    const V zero(T(0)), one(T(1)), d = x - y;
    if constexpr (kind == PointwiseLoss::mse) return d * d;
    if constexpr (kind == PointwiseLoss::l1) return abs(d);
    if constexpr (kind == PointwiseLoss::smooth_l1)
      return select(abs(d) < parameter, d * d * inverse * V(T(0.5)), abs(d) - half);
    if constexpr (kind == PointwiseLoss::huber)
      return select(abs(d) <= parameter, d * d * V(T(0.5)), parameter * (abs(d) - half));
    if constexpr (kind == PointwiseLoss::bce) return -(y * limited_log(x) + (one - y) * limited_log(one - x));
    if constexpr (kind == PointwiseLoss::bce_with_logits) return max(x, zero) - x * y + log1p(exp(-abs(x)));
    if constexpr (kind == PointwiseLoss::kl_div) return select(y == zero, zero, y * (log(y) - x));
    if constexpr (kind == PointwiseLoss::kl_div_log) return exp(y) * (y - x);
  }
  TG_INLINE V slope(V x, V y) const {
    const V one(T(1)), d = x - y;
    if constexpr (kind == PointwiseLoss::mse) return d + d;
    if constexpr (kind == PointwiseLoss::l1) return sign_of(d);
    if constexpr (kind == PointwiseLoss::smooth_l1) return select(abs(d) < parameter, d * inverse, sign_of(d));
    if constexpr (kind == PointwiseLoss::huber) return select(abs(d) <= parameter, d, parameter * sign_of(d));
    if constexpr (kind == PointwiseLoss::bce) return d / max(x * (one - x), V(T(1e-12)));
    if constexpr (kind == PointwiseLoss::bce_with_logits) return sigmoid(x) - y;
    if constexpr (kind == PointwiseLoss::kl_div) return -y;
    if constexpr (kind == PointwiseLoss::kl_div_log) return -exp(y);
  }
};

template <class F> static Status visit_kind(PointwiseLoss::Kind kind, const F& f) {
  using L = PointwiseLoss;
  switch (kind) {
    case L::mse: return f.template operator()<L::mse>();
    case L::l1: return f.template operator()<L::l1>();
    case L::smooth_l1: return f.template operator()<L::smooth_l1>();
    case L::huber: return f.template operator()<L::huber>();
    case L::bce: return f.template operator()<L::bce>();
    case L::bce_with_logits: return f.template operator()<L::bce_with_logits>();
    case L::kl_div: return f.template operator()<L::kl_div>();
    case L::kl_div_log: return f.template operator()<L::kl_div_log>();
  }
  return {Status::missing};
}

// Is any of n probabilities outside [0, 1], or NaN?
template <class S> static bool improper(const S* x, int64_t n) {
  using T = Compute<S>;
  bool found = false;
  for_each_register<T, 1>(n, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
    const Vec<T> p = Vec<T>::load(x + i, count);
    found |= !all((p >= Vec<T>(T(0))) & (p <= Vec<T>(T(1))));
  });
  return found;
}

template <class S, PointwiseLoss::Kind kind> static Status pointwise_loss_of(const Launch& launch, const PointwiseLoss& a) {
  using T = Compute<S>;
  const S *const x = static_cast<const S*>(a.x), *const y = static_cast<const S*>(a.y);
  S* const each = static_cast<S*>(a.out);
  double* const sums = static_cast<double*>(launch.workspace);  // one a piece
  parallel_for(launch, a.count, piece, [&](int64_t begin, int64_t end) {
    const Loss<T, kind> loss(a.parameter);
    if (kind == PointwiseLoss::bce && improper(x + begin, end - begin)) {
      sums[begin / piece] = -__builtin_inf();  // no loss is that
      return;
    }
    if (each) {
      sums[begin / piece] = 0;
      for_each_register<T, 1>(end - begin, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
        loss.value(Vec<T>::load(x + begin + i, count), Vec<T>::load(y + begin + i, count)).store(each + begin + i, count);
      });
    } else {
      Vec<T> sum[4] = {Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0)), Vec<T>(T(0))};
      const int64_t whole = (end - begin) / Vec<T>::width * Vec<T>::width, i = begin + whole;
      for_each_register<T, 4>(whole, [&](int64_t j, int64_t, int slot) TG_INLINE_LAMBDA {
        sum[slot] += loss.value(Vec<T>::load(x + begin + j), Vec<T>::load(y + begin + j));
      });
      T rest[Vec<T>::width] = {};
      if (i < end) loss.value(Vec<T>::load(x + i, end - i), Vec<T>::load(y + i, end - i)).store(rest);
      double total = double(reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3])));
      for (int64_t j = 0; j < end - i; ++j) total += double(rest[j]);
      sums[begin / piece] = total;
    }
  });
  double total = 0;
  for (int64_t p = 0; p * piece < a.count; ++p) {
    if (kind == PointwiseLoss::bce && sums[p] == -__builtin_inf()) return {Status::index_out_of_range};
    total += sums[p];
  }
  if (a.sum) *static_cast<T*>(a.sum) = T(total * a.scale);
  return {};
}

template <class S, PointwiseLoss::Kind kind>
static void pointwise_loss_backward_of(const Launch& launch, const PointwiseLoss& a, const void* dloss, bool each, void* dx) {
  using T = Compute<S>;
  const S *const x = static_cast<const S*>(a.x), *const y = static_cast<const S*>(a.y), *const g = static_cast<const S*>(dloss);
  S* const out = static_cast<S*>(dx);
  const Vec<T> scale(T(a.scale));
  Vec<T> upstream = scale;
  if (!each) {
    if constexpr (sizeof(S) == 2) upstream = scale * Vec<T>(to_float(*g));
    else upstream = scale * Vec<T>(*g);
  }
  parallel_for(launch, a.count, piece, [&](int64_t begin, int64_t end) {
    const Loss<T, kind> loss(a.parameter);
    for_each_register<T, 1>(end - begin, [&](int64_t i, int64_t count, int) TG_INLINE_LAMBDA {
      const Vec<T> slope = loss.slope(Vec<T>::load(x + begin + i, count), Vec<T>::load(y + begin + i, count));
      (slope * (each ? Vec<T>::load(g + begin + i, count) : upstream)).store(out + begin + i, count);
    });
  });
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status pointwise_loss(const Launch& launch, const PointwiseLoss& a) {
  return visit_floating(a.dtype, [&]<class S>() {
    return visit_kind(a.kind, [&]<PointwiseLoss::Kind kind>() { return pointwise_loss_of<S, kind>(launch, a); });
  });
}
size_t pointwise_loss_workspace(const PointwiseLoss& a) { return size_t((a.count + piece - 1) / piece) * sizeof(double); }

Status pointwise_loss_backward(const Launch& launch, const PointwiseLoss& a, const void* dloss, bool each, void* dx) {
  return visit_floating(a.dtype, [&]<class S>() {
    return visit_kind(a.kind, [&]<PointwiseLoss::Kind kind>() {
      pointwise_loss_backward_of<S, kind>(launch, a, dloss, each, dx);
      return Status{};
    });
  });
}

}  // namespace tg::TG_ISA
