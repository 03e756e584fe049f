// Convolution by its definition: one output element after the other.
#include "kernels/cpu/conv2d/direct.h"
#include "core/parallel.h"
#include "kernels/cpu/matmul/finish.h"

namespace tg::TG_ISA {

template <class T> static T* pixel(const Images& x, int64_t n, int64_t c, int64_t h, int64_t w) {
  return static_cast<T*>(x.data) + n * x.batch_stride + c * x.channel_stride + h * x.row_stride + w;
}

template <class T> static T finished(T sum, Activation activation) {
  switch (activation) {
    case Activation::relu: return sum > 0 || sum != sum ? sum : T(0);
    default: return sum;
  }
}

template <class F> static Status visit_type(DType dtype, const F& f) {
  if (dtype == DType::f32) return f.template operator()<float>();
  if (dtype == DType::f64) return f.template operator()<double>();
  return {Status::missing};
}

Status direct_forward(const Launch& launch, const Conv2d& c) {
  if (c.activation != Activation::none && c.activation != Activation::relu) return {Status::missing};
  return visit_type(c.x.dtype, [&]<class T>() {
    const int64_t C = c.x.channels / c.groups, O = c.y.channels, KH = c.kernel[0], KW = c.kernel[1];
    parallel_for(launch, c.y.batch * O, 1, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t n = at / O, o = at % O, first = o / (O / c.groups) * C;
        for (int64_t p = 0; p < c.y.height; ++p)
          for (int64_t q = 0; q < c.y.width; ++q) {
            T sum = c.bias ? static_cast<const T*>(c.bias)[o] : T(0);
            const T* w = static_cast<const T*>(c.weight) + o * C * KH * KW;
            for (int64_t k = 0; k < C; ++k)
              for (int64_t i = 0; i < KH; ++i)
                for (int64_t j = 0; j < KW; ++j, ++w) {
                  const int64_t h = p * c.stride[0] - c.padding[0] + i * c.dilation[0];
                  const int64_t v = q * c.stride[1] - c.padding[1] + j * c.dilation[1];
                  if (h >= 0 && h < c.x.height && v >= 0 && v < c.x.width) sum += *w * *pixel<T>(c.x, n, first + k, h, v);
                }
            *pixel<T>(c.y, n, o, p, q) = finished(sum, c.activation);
          }
      }
    });
    return Status{};
  });
}

Status direct_backward_input(const Launch& launch, const Conv2d& c) {
  return visit_type(c.x.dtype, [&]<class T>() {
    const int64_t C = c.x.channels, KH = c.kernel[0], KW = c.kernel[1], group = C / c.groups, O = c.y.channels / c.groups;
    parallel_for(launch, c.x.batch * C, 1, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t n = at / C, k = at % C, first = k / group * O;
        for (int64_t h = 0; h < c.x.height; ++h)
          for (int64_t v = 0; v < c.x.width; ++v) {
            T sum = 0;
            for (int64_t o = 0; o < O; ++o)
              for (int64_t i = 0; i < KH; ++i)
                for (int64_t j = 0; j < KW; ++j) {
                  const int64_t p = h + c.padding[0] - i * c.dilation[0], q = v + c.padding[1] - j * c.dilation[1];
                  if (p < 0 || q < 0 || p % c.stride[0] || q % c.stride[1]) continue;
                  if (p / c.stride[0] >= c.y.height || q / c.stride[1] >= c.y.width) continue;
                  const T w = static_cast<const T*>(c.weight)[(((first + o) * group + k % group) * KH + i) * KW + j];
                  sum += w * *pixel<T>(c.y, n, first + o, p / c.stride[0], q / c.stride[1]);
                }
            *pixel<T>(c.x, n, k, h, v) = sum;
          }
      }
    });
    return Status{};
  });
}

Status direct_backward_weight(const Launch& launch, const Conv2d& c) {
  return visit_type(c.x.dtype, [&]<class T>() {
    const int64_t C = c.x.channels / c.groups, O = c.y.channels, KH = c.kernel[0], KW = c.kernel[1];
    parallel_for(launch, O * C, 1, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t o = at / C, k = at % C, first = o / (O / c.groups) * C;
        for (int64_t i = 0; i < KH; ++i)
          for (int64_t j = 0; j < KW; ++j) {
            T sum = 0;
            for (int64_t n = 0; n < c.y.batch; ++n)
              for (int64_t p = 0; p < c.y.height; ++p)
                for (int64_t q = 0; q < c.y.width; ++q) {
                  const int64_t h = p * c.stride[0] - c.padding[0] + i * c.dilation[0];
                  const int64_t v = q * c.stride[1] - c.padding[1] + j * c.dilation[1];
                  if (h >= 0 && h < c.x.height && v >= 0 && v < c.x.width)
                    sum += *pixel<T>(c.y, n, o, p, q) * *pixel<T>(c.x, n, first + k, h, v);
                }
            static_cast<T*>(c.weight)[((o * C + k) * KH + i) * KW + j] = sum;
          }
      }
    });
    return Status{};
  });
}

size_t direct_forward_workspace(const Conv2d&, int) { return 0; }
size_t direct_backward_input_workspace(const Conv2d&, int) { return 0; }
size_t direct_backward_weight_workspace(const Conv2d&, int) { return 0; }

}  // namespace tg::TG_ISA
