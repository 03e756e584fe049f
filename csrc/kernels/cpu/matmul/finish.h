// What happens to a finished tile of sums: bias, keeping the value before the activation, activation, storage type.
#pragma once
#include "kernels/cpu/simd_math.h"
#include "kernels/views.h"

namespace tg::TG_ISA {

template <class T, Activation activation> TG_INLINE Vec<T> activate(Vec<T> x) {
  const Vec<T> half(T(0.5)), one(T(1));
  if constexpr (activation == Activation::relu) return max_or_second(Vec<T>(T(0)), x);  // keeps NaN
  if constexpr (activation == Activation::gelu) return half * x * (one + erf(x * Vec<T>(T(0.70710678118654752))));
  if constexpr (activation == Activation::gelu_tanh) {
    const Vec<T> cubic = fma(x * x * x, Vec<T>(T(0.044715)), x);
    return half * x * (one + tanh(cubic * Vec<T>(T(0.79788456080286536))));
  }
  if constexpr (activation == Activation::tanh) return tanh(x);
  if constexpr (activation == Activation::sigmoid) return sigmoid(x);
  return x;
}

template <class S> struct Finish {
  const S* bias;      // of the tile's first column, or null
  S* pre_activation;  // of the tile's first element, with c's stride, or null
  Activation activation;
};

template <class S, class T> struct FinishTile {
  T* sums;
  int64_t sums_stride;
  S* c;
  int64_t c_stride, rows, cols;
};

// before = sums + bias and c = activation(before), in one pass; bias and before may be null.
template <class S, class T, Activation activation>
[[gnu::noinline]] static void store_tile(const FinishTile<S, T>& t, const S* bias, S* before) {
  for (int64_t i = 0; i < t.rows; ++i) {
    const T* const sums = t.sums + i * t.sums_stride;
    S* const c = t.c + i * t.c_stride;
    for (int64_t j = 0; j < t.cols; j += Vec<T>::width) {
      const int64_t n = t.cols - j;
      Vec<T> x = Vec<T>::load(sums + j, n);
      if (bias) x = x + Vec<T>::load(bias + j, n);
      if (before) x.store(before + i * t.c_stride + j, n);
      activate<T, activation>(x).store(c + j, n);
    }
  }
}

// sums (rows, cols) -> c (rows, cols) while they are in the first-level cache. sums may be c itself.
template <class S, class T> static void finish_tile(const FinishTile<S, T>& t, const Finish<S>& f) {
  switch (f.activation) {
    case Activation::none:
      if (f.bias || f.pre_activation || static_cast<void*>(t.sums) != t.c)
        store_tile<S, T, Activation::none>(t, f.bias, f.pre_activation);
      break;
    case Activation::relu: return store_tile<S, T, Activation::relu>(t, f.bias, f.pre_activation);
    case Activation::gelu: return store_tile<S, T, Activation::gelu>(t, f.bias, f.pre_activation);
    case Activation::gelu_tanh: return store_tile<S, T, Activation::gelu_tanh>(t, f.bias, f.pre_activation);
    case Activation::tanh: return store_tile<S, T, Activation::tanh>(t, f.bias, f.pre_activation);
    case Activation::sigmoid: return store_tile<S, T, Activation::sigmoid>(t, f.bias, f.pre_activation);
  }
}

}  // namespace tg::TG_ISA
