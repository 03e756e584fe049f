// Convolution by summing the products themselves, with the input read where it lies:
//   axis.h          geometry of an axis, and the zeros around the input
//   gather.h        tiles in registers
//   correlate.h     y, and the gradient for x
//   weight_sum.h    the gradient for the weight, lanes = output channels
//   weight_slide.h  the same for few output channels, lanes = pixels
//
// Cost: 2 N O P Q C KH KW / groups operations each. Memory: inputs are copied once where there is padding, weights once per call.
//
// Numerics: float32 for float32, double for double. Sums are cut every 512 terms; each block is one chain of FMAs from zero and
// blocks are added in order: the same bits for any number of threads. Products with padding are products with zero, so an
// infinite weight gives NaN where its window leaves the image, as in PyTorch.
#include "kernels/cpu/conv2d/direct.h"
#include "kernels/cpu/conv2d/correlate.h"
#include "kernels/cpu/conv2d/weight_slide.h"
#include "kernels/cpu/conv2d/weight_sum.h"

namespace tg::TG_ISA {

template <class F> static auto visit_type(DType dtype, const F& f) {
  if (dtype == DType::f64) return f.template operator()<double>();
  return f.template operator()<float>();
}

static bool can_do(const Conv3d& c) {
  return (c.x.dtype == DType::f32 || c.x.dtype == DType::f64) &&
         (c.activation == Activation::none || c.activation == Activation::relu);
}

static Status correlate(const Launch& launch, const Conv3d& c, bool forward) {
  if (!can_do(c)) return {Status::missing};
  visit_type(c.x.dtype, [&]<class T>() { Correlation<T>(c, forward, launch.threads).run(launch); });
  return {};
}
static size_t correlate_workspace(const Conv3d& c, int threads, bool forward) {
  if (!can_do(c)) return 0;
  return visit_type(c.x.dtype, [&]<class T>() { return Correlation<T>(c, forward, threads).workspace(); });
}

Status direct_forward(const Launch& launch, const Conv3d& c) { return correlate(launch, c, true); }
Status direct_backward_input(const Launch& launch, const Conv3d& c) { return correlate(launch, c, false); }
Status direct_backward_weight(const Launch& launch, const Conv3d& c) {
  if (!can_do(c)) return {Status::missing};
  visit_type(c.x.dtype, [&]<class T>() {
    if (WeightSlide<T>::suits(c)) WeightSlide<T>(c, launch.threads).run(launch);
    else WeightSum<T>(c, launch.threads).run(launch);
  });
  return {};
}

size_t direct_forward_workspace(const Conv3d& c, int threads) { return correlate_workspace(c, threads, true); }
size_t direct_backward_input_workspace(const Conv3d& c, int threads) { return correlate_workspace(c, threads, false); }
size_t direct_backward_weight_workspace(const Conv3d& c, int threads) {
  if (!can_do(c)) return 0;
  return visit_type(c.x.dtype, [&]<class T>() {
    return WeightSlide<T>::suits(c) ? WeightSlide<T>(c, threads).workspace() : WeightSum<T>(c, threads).workspace();
  });
}

}  // namespace tg::TG_ISA
