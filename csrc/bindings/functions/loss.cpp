// Losses: the lines that make the ops Python functions.
#include "ops/loss.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_loss() {
  bind<&ops::soft_cross_entropy>("soft_cross_entropy", "logits, target, weight",
                                 "Cross entropy of probabilities per row, and its log-sum-exp.");
  bind<&ops::soft_cross_entropy_backward>("soft_cross_entropy_backward", "dloss, logits, target, weight, lse",
                                          "Gradient of soft_cross_entropy for the logits.");
  bind<&ops::pointwise_loss>("pointwise_loss", "x, y, kind, parameter, reduction",
                             "A loss of one number against one number, for each element, summed or averaged.");
  bind<&ops::pointwise_loss_backward>("pointwise_loss_backward", "dloss, x, y, kind, parameter, reduction",
                                      "Gradient of pointwise_loss for x.");
  bind<&ops::ctc_loss>("ctc_loss", "log_probs, targets, input_lengths, target_lengths, blank, zero_infinity",
                       "Connectionist temporal classification loss per sample, and alpha.");
  bind<&ops::ctc_loss_backward>("ctc_loss_backward",
                                "dloss, log_probs, targets, input_lengths, target_lengths, loss, alpha, blank, zero_infinity",
                                "Gradient of ctc_loss for the log-probabilities.");
}

}  // namespace tg::py
