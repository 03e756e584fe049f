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

// c = activation(sums)
template <class S, class T, Activation activation> [[gnu::noinline]] static void store_tile(const FinishTile<S, T>& t) {
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.cols; j += Vec<T>::width) {
      const int64_t n = t.cols - j;
      activate<T, activation>(Vec<T>::load(t.sums + i * t.sums_stride + j, n)).store(t.c + i * t.c_stride + j, n);
    }
}

template <class S, class T> [[gnu::noinline]] static void add_bias(const FinishTile<S, T>& t, const S* bias) {
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.cols; j += Vec<T>::width) {
      T* const sums = t.sums + i * t.sums_stride + j;
      (Vec<T>::load(sums, t.cols - j) + Vec<T>::load(bias + j, t.cols - j)).store(sums, t.cols - j);
    }
}

// sums (rows, cols) -> c (rows, cols), one pass over the first-level cache per thing to do. sums may be c itself.
template <class S, class T> static void finish_tile(FinishTile<S, T> t, const Finish<S>& f) {
  if (f.bias) add_bias(t, f.bias);
  if (f.pre_activation) {
    FinishTile<S, T> before = t;
    before.c = f.pre_activation;
    store_tile<S, T, Activation::none>(before);
  }
  switch (f.activation) {
    case Activation::none:
      if (static_cast<void*>(t.sums) != t.c) store_tile<S, T, Activation::none>(t);
      break;
    case Activation::relu: store_tile<S, T, Activation::relu>(t); break;
    case Activation::gelu: store_tile<S, T, Activation::gelu>(t); break;
    case Activation::gelu_tanh: store_tile<S, T, Activation::gelu_tanh>(t); break;
    case Activation::tanh: store_tile<S, T, Activation::tanh>(t); break;
    case Activation::sigmoid: store_tile<S, T, Activation::sigmoid>(t); break;
  }
}

}  // namespace tg::TG_ISA
