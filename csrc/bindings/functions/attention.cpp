// Attention: the lines that make it Python functions.
#include "ops/attention.h"
#include "bindings/convert.h"
#include "bindings/functions.h"

namespace tg::py {

void bind_attention() {
  bind<&ops::attention, 4096>("attention", "query, key, value, mask, scale, is_causal, dropout_p, seed, offset",
                              "softmax(scale * query @ key^T + mask) @ value, and the log-sum-exp of every row of scores.");
  bind<&ops::attention_backward, 4096>("attention_backward",
                                       "dy, query, key, value, mask, out, lse, scale, is_causal, dropout_p, seed, offset",
                                       "Gradients of attention for query, key and value.");
}

}  // namespace tg::py
