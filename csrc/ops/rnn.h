// Recurrent layers over a sequence: one layer, one direction.
//
// x is (T, B, I), or packed (N, I) with batch_sizes (T,) int64. h0 and c0 are (B, H), weight_ih (gates * H, I), weight_hh
// (gates * H, H), the biases (gates * H,). Gradients dy, dhn and dcn may be absent: nothing flows there. A backward op
// computes of these only what is wanted, 1 for dx + 2 for dh0 + 4 for the weights and biases: an empty array stands for the rest.
#pragma once
#include "ops/ops.h"

namespace tg::ops {

using MaybeArray = std::optional<Array>;

// y, the last h, the last c, and what the backward pass wants
std::vector<Array> lstm(const Array& x, const Array& h0, const Array& c0, const Array& weight_ih, const Array& weight_hh,
                        const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse);
// dx, dh0, dc0, dweight_ih, dweight_hh, dbias_ih, dbias_hh
std::vector<Array> lstm_backward(const MaybeArray& dy, const MaybeArray& dhn, const MaybeArray& dcn, const Array& x,
                                 const Array& h0, const Array& c0, const Array& weight_ih, const Array& weight_hh,
                                 const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes,
                                 bool reverse, const Array& y, const Array& saved, int64_t wanted);

// y, the last h, and what the backward pass wants
std::vector<Array> gru(const Array& x, const Array& h0, const Array& weight_ih, const Array& weight_hh,
                       const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse);
// dx, dh0, dweight_ih, dweight_hh, dbias_ih, dbias_hh
std::vector<Array> gru_backward(const MaybeArray& dy, const MaybeArray& dhn, const Array& x, const Array& h0,
                                const Array& weight_ih, const Array& weight_hh, const MaybeArray& bias_ih,
                                const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse, const Array& y,
                                const Array& saved, int64_t wanted);

// y and the last h
std::vector<Array> rnn(const Array& x, const Array& h0, const Array& weight_ih, const Array& weight_hh,
                       const MaybeArray& bias_ih, const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse,
                       bool relu);
// dx, dh0, dweight_ih, dweight_hh, dbias_ih, dbias_hh
std::vector<Array> rnn_backward(const MaybeArray& dy, const MaybeArray& dhn, const Array& x, const Array& h0,
                                const Array& weight_ih, const Array& weight_hh, const MaybeArray& bias_ih,
                                const MaybeArray& bias_hh, const MaybeArray& batch_sizes, bool reverse, bool relu,
                                const Array& y, int64_t wanted);

}  // namespace tg::ops
