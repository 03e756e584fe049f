// Normalisation: the lines that make the ops Python functions.
#include "ops/norm.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_norm() {
  bind<&ops::layer_norm>("layer_norm", "x, weight, bias, dims, eps", "Each row normalised; its mean and 1 / deviation.");
  bind<&ops::layer_norm_backward>("layer_norm_backward", "dy, x, weight, mean, rstd, dims, eps",
                                  "Gradients of layer_norm for x, weight and bias.");
  bind<&ops::rms_norm>("rms_norm", "x, weight, dims, eps", "Each row divided by its root mean square; 1 / that root.");
  bind<&ops::rms_norm_backward>("rms_norm_backward", "dy, x, weight, rstd, dims, eps",
                                "Gradients of rms_norm for x and weight.");
  bind<&ops::batch_norm>("batch_norm", "x, weight, bias, eps",
                         "Each channel normalised over the batch; its mean, 1 / deviation and variance.");
  bind<&ops::batch_norm_backward>("batch_norm_backward", "dy, x, weight, mean, rstd, eps",
                                  "Gradients of batch_norm for x, weight and bias.");
  bind<&ops::group_norm>("group_norm", "x, weight, bias, groups, eps",
                         "Each group of channels of each sample normalised; its mean and 1 / deviation.");
  bind<&ops::group_norm_backward>("group_norm_backward", "dy, x, weight, mean, rstd, groups, eps",
                                  "Gradients of group_norm for x, weight and bias.");
  bind<&ops::channel_affine>("channel_affine", "x, scale, shift", "x * scale + shift, one scale and shift a channel.");
  bind<&ops::channel_affine_backward>("channel_affine_backward", "dy, x, scale",
                                      "Gradients of channel_affine for x, scale and shift.");
}

}  // namespace tg::py
