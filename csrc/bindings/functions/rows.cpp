// Softmax and cross entropy: the lines that make them Python functions.
#include "ops/rows.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_rows() {
  bind<&ops::softmax>("softmax", "x, dim", "exp(x) / sum(exp(x)) over one dim.");
  bind<&ops::softmax_backward>("softmax_backward", "y, dy, dim", "Gradient of softmax from its output.");
  bind<&ops::log_softmax>("log_softmax", "x, dim", "log(softmax(x)) over one dim.");
  bind<&ops::log_softmax_backward>("log_softmax_backward", "y, dy, dim", "Gradient of log_softmax from its output.");
  bind<&ops::logsumexp>("logsumexp", "x, dim", "log(sum(exp(x))) over one dim, which goes away.");
  bind<&ops::cross_entropy>("cross_entropy", "logits, target, weight, ignore_index, label_smoothing",
                            "Loss per row, and its log-sum-exp.");
  bind<&ops::cross_entropy_reduced>("cross_entropy_reduced",
                                    "logits, target, weight, ignore_index, label_smoothing, mean, with_gradient",
                                    "Mean or sum of the losses, log-sum-exp per row, and the gradient for the logits.");
  bind<&ops::cross_entropy_backward>("cross_entropy_backward",
                                     "dloss, logits, target, weight, lse, ignore_index, label_smoothing",
                                     "Gradient of cross_entropy.");
}

}  // namespace tg::py
