// Embeddings and recurrent layers: the lines that make them Python functions.
#include "ops/rnn.h"
#include "bindings/convert.h"
#include "bindings/functions.h"
#include "ops/embedding.h"

namespace tg::py {

void bind_rnn() {
  bind<&ops::embedding>("embedding", "weight, index, padding_idx, by_frequency", "Rows of a table by number.");
  bind<&ops::embedding_backward>("embedding_backward", "dy, index, rows, padding_idx, by_frequency", "Gradient of embedding.");

  bind<&ops::lstm>("lstm", "x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse",
                   "An LSTM layer over a sequence: y, the last h and c, and the gates.");
  bind<&ops::lstm_backward>("lstm_backward",
                            "dy, dhn, dcn, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, y, saved, "
                            "wanted",
                            "Gradient of lstm.");
  bind<&ops::gru>("gru", "x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse",
                  "A GRU layer over a sequence: y, the last h, and the gates.");
  bind<&ops::gru_backward>("gru_backward",
                           "dy, dhn, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, y, saved, "
                           "wanted",
                           "Gradient of gru.");
  bind<&ops::rnn>("rnn", "x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, relu",
                  "A plain recurrent layer over a sequence: y and the last h.");
  bind<&ops::rnn_backward>("rnn_backward",
                           "dy, dhn, x, h0, weight_ih, weight_hh, bias_ih, bias_hh, batch_sizes, reverse, relu, y, "
                           "wanted",
                           "Gradient of rnn.");
}

}  // namespace tg::py
