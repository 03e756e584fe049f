// Every op that Python can call is one bind<> line: name, parameters, what it does. A file per family in bindings/functions/.
#pragma once

namespace tg::py {

void bind_attention();
void bind_conv();
void bind_creation();
void bind_elementwise();
void bind_fold();
void bind_gather();
void bind_loss();
void bind_matmul();
void bind_norm();
void bind_optimizer();
void bind_order();
void bind_pad();
void bind_pool();
void bind_quantized();
void bind_random();
void bind_reduce();
void bind_rnn();
void bind_rows();
void bind_view();

// Registers every op for add_bound().
inline void bind_functions() {
  bind_attention();
  bind_conv();
  bind_creation();
  bind_elementwise();
  bind_fold();
  bind_gather();
  bind_loss();
  bind_matmul();
  bind_norm();
  bind_optimizer();
  bind_order();
  bind_pad();
  bind_pool();
  bind_quantized();
  bind_random();
  bind_reduce();
  bind_rnn();
  bind_rows();
  bind_view();
}

}  // namespace tg::py
