// Every kernel of tilegrad, one row each. A backend (cpu baseline, avx2, avx512, later sim and cuda) is a value of this struct;
// a null row means "not there": the op then runs its composite or says so in one clear error.
#pragma once
#include "kernels/arguments/attention.h"
#include "kernels/arguments/conv.h"
#include "kernels/arguments/embedding.h"
#include "kernels/arguments/grid_sample.h"
#include "kernels/arguments/loss.h"
#include "kernels/arguments/norm.h"
#include "kernels/arguments/optimizer.h"
#include "kernels/arguments/pad.h"
#include "kernels/arguments/positions.h"
#include "kernels/arguments/quantized.h"
#include "kernels/arguments/random.h"
#include "kernels/arguments/rearrange.h"
#include "kernels/arguments/resample.h"
#include "kernels/arguments/rnn.h"
#include "kernels/arguments/scan.h"
#include "kernels/arguments/sort.h"
#include "kernels/op_list.h"
#include "kernels/views.h"

namespace tg {

struct KernelTable {
  const char* name = nullptr;  // "avx512": shown by `tilegrad doctor`

  // elementwise: operand 0 is the output; every operand has the same dtype unless said otherwise
  Status (*unary[unary_count])(const Launch&, const Strided<2>&);
  Status (*binary[binary_count])(const Launch&, const Strided<3>&);
  Status (*compare[compare_count])(const Launch&, const Strided<3>&);  // bool = op(T, T)
  Status (*where)(const Launch&, const Strided<4>&);                   // T = where(bool, T, T)
  Status (*copy)(const Launch&, const Strided<2>&);                    // any dtype to any dtype; the input may be a scalar

  // reductions
  Status (*reduce[reduce_count])(const Launch&, const Reduction&);

  // matrix products
  Status (*matmul)(const Launch&, const Matmul&);
  size_t (*matmul_workspace)(const Matmul&, int threads);
  Status (*quantized_linear)(const Launch&, const QuantizedLinear&);
  size_t (*quantized_linear_workspace)(const QuantizedLinear&);

  // convolutions: y, the gradient for x, the gradient for w (conv.h)
  Status (*conv2d)(const Launch&, const Conv2d&);
  Status (*conv2d_backward_input)(const Launch&, const Conv2d&);
  Status (*conv2d_backward_weight)(const Launch&, const Conv2d&);
  size_t (*conv2d_workspace)(const Conv2d&, int threads);
  size_t (*conv2d_backward_input_workspace)(const Conv2d&, int threads);
  size_t (*conv2d_backward_weight_workspace)(const Conv2d&, int threads);
  const char* (*conv2d_algorithm)(const Conv2d&, ConvPass);  // the name of what these sizes take; data may be null
  Status (*conv3d)(const Launch&, const Conv3d&);
  Status (*conv3d_backward_input)(const Launch&, const Conv3d&);
  Status (*conv3d_backward_weight)(const Launch&, const Conv3d&);
  size_t (*conv3d_workspace)(const Conv3d&, int threads);
  size_t (*conv3d_backward_input_workspace)(const Conv3d&, int threads);
  size_t (*conv3d_backward_weight_workspace)(const Conv3d&, int threads);

  // rows
  Status (*softmax)(const Launch&, const Rows& x, const Rows& y);
  Status (*softmax_backward)(const Launch&, const Rows& y, const Rows& dy, const Rows& dx);
  Status (*log_softmax)(const Launch&, const Rows& x, const Rows& y);
  Status (*log_softmax_backward)(const Launch&, const Rows& y, const Rows& dy, const Rows& dx);
  Status (*cross_entropy)(const Launch&, const CrossEntropy&);
  // dlogits[i, :] = dloss[i] * (softmax(logits[i]) - smoothed one-hot) * weight
  Status (*cross_entropy_backward)(const Launch&, const CrossEntropy&, const void* dloss, const Rows& dlogits);

  Status (*soft_cross_entropy)(const Launch&, const SoftCrossEntropy&);
  Status (*soft_cross_entropy_backward)(const Launch&, const SoftCrossEntropy&, const void* dloss, const Rows& dlogits);
  Status (*pointwise_loss)(const Launch&, const PointwiseLoss&);
  size_t (*pointwise_loss_workspace)(const PointwiseLoss&);
  // `each`: dloss has one entry an element, not one for all
  Status (*pointwise_loss_backward)(const Launch&, const PointwiseLoss&, const void* dloss, bool each, void* dx);
  Status (*ctc_loss)(const Launch&, const CtcLoss&);
  Status (*ctc_loss_backward)(const Launch&, const CtcLoss&, const void* dloss, void* dlog_probs);
  size_t (*ctc_loss_workspace)(const CtcLoss&);  // of both
  // attention
  Status (*attention)(const Launch&, const Attention&);
  size_t (*attention_workspace)(const Attention&, int threads);
  Status (*attention_backward)(const Launch&, const Attention&, const AttentionGradients&);
  size_t (*attention_backward_workspace)(const Attention&, int threads);

  // indexing
  Status (*index_select)(const Launch&, const Indexed&);  // out (outer, count, inner) = in[:, index, :]
  Status (*index_add)(const Launch&, const Indexed&);   // out (outer, picked, inner) += in (outer, count, inner), in order of i
  Status (*index_copy)(const Launch&, const Indexed&);  // out[:, index, :] = in (outer, count, inner), the last i wins

  // indexing of single elements, order, running sums
  Status (*gather)(const Launch&, const Positions&);
  Status (*scatter)(const Launch&, const Positions&);
  Status (*flip)(const Launch&, const AlongDim&);
  Status (*roll)(const Launch&, const AlongDim&);
  Status (*triangle)(const Launch&, const Triangle&);
  Status (*nonzero_count)(const Launch&, const Nonzero&);  // the trues of each piece
  Status (*nonzero)(const Launch&, const Nonzero&);
  Status (*scan)(const Launch&, const Scan&);
  Status (*sort)(const Launch&, const Sort&);
  size_t (*sort_workspace)(const Sort&, int threads);
  Status (*topk)(const Launch&, const TopK&);
  size_t (*topk_workspace)(const TopK&, int threads);
  Status (*select)(const Launch&, const Select&);
  size_t (*select_workspace)(const Select&, int threads);
  Status (*searchsorted)(const Launch&, const SearchSorted&);
  Status (*logsumexp)(const Launch&, const Rows& x, const Rows& y);    // y has one column
  Status (*ternary[ternary_count])(const Launch&, const Strided<4>&);  // T = f(T, T, T)
  // embeddings: rows of a table (index_select), and the table's gradient
  Status (*embedding_backward)(const Launch&, const EmbeddingBackward&);
  size_t (*embedding_backward_workspace)(const EmbeddingBackward&);

  // recurrent layers: all steps of a sequence
  Status (*lstm)(const Launch&, const Recurrent&);
  Status (*lstm_backward)(const Launch&, const RecurrentBackward&);
  Status (*gru)(const Launch&, const Recurrent&);
  Status (*gru_backward)(const Launch&, const RecurrentBackward&);
  Status (*rnn)(const Launch&, const Recurrent&);
  Status (*rnn_backward)(const Launch&, const RecurrentBackward&);
  size_t (*rnn_workspace)(const Recurrent&, int gates, bool backward);
  // normalisation
  Status (*layer_norm)(const Launch&, const RowNorm&);
  Status (*layer_norm_backward)(const Launch&, const RowNormBackward&);
  size_t (*layer_norm_backward_workspace)(const RowNormBackward&);
  Status (*rms_norm)(const Launch&, const RowNorm&);
  Status (*rms_norm_backward)(const Launch&, const RowNormBackward&);
  size_t (*rms_norm_backward_workspace)(const RowNormBackward&);
  Status (*batch_norm)(const Launch&, const ChannelNorm&);
  size_t (*batch_norm_workspace)(const ChannelNorm&);
  Status (*batch_norm_backward)(const Launch&, const ChannelNormBackward&);
  size_t (*batch_norm_backward_workspace)(const ChannelNormBackward&);
  Status (*group_norm)(const Launch&, const ChannelNorm&);
  Status (*group_norm_backward)(const Launch&, const ChannelNormBackward&);
  size_t (*group_norm_backward_workspace)(const ChannelNormBackward&);
  Status (*channel_affine)(const Launch&, const ChannelAffine&);
  // images
  Status (*pad)(const Launch&, const Pad&, const void* in, void* out);
  Status (*pad_backward)(const Launch&, const Pad&, const void* dy, void* dx);
  Status (*max_pool)(const Launch&, const Pool&, const void* in, void* out, int64_t* places);  // places may be null
  Status (*max_pool_backward)(const Launch&, const Pool&, const void* in, const void* dy, void* dx);
  size_t (*max_pool_workspace)(const Pool&);
  Status (*resample)(const Launch&, const Resample&, const void* in, void* out);
  size_t (*resample_workspace)(const Resample&);
  Status (*grid_sample)(const Launch&, const GridSample&, const void* in, const void* grid, void* out);
  Status (*grid_sample_backward)(const Launch&, const GridSample&, const void* dy, const void* in, const void* grid, void* dx,
                                 void* dgrid);

  // random numbers, written to contiguous memory
  Status (*uniform)(const Launch&, const Random&, const Strided<1>& out, double low, double high);
  Status (*normal)(const Launch&, const Random&, const Strided<1>& out, double mean, double std);
  Status (*randint)(const Launch&, const Random&, const Strided<1>& out, int64_t low, int64_t high);

  // optimisers: one call updates every parameter
  Status (*sgd)(const Launch&, const ParameterList&, const SgdStep&);
  Status (*adam)(const Launch&, const ParameterList&, const AdamStep&);
  Status (*adaptive)(const Launch&, const ParameterList&, const AdaptiveStep&);
  Status (*total_norm)(const Launch&, const ParameterList&, double p, double* out);  // of all gradients; p is 1, 2 or infinity
  size_t (*total_norm_workspace)(const ParameterList&);
  Status (*scale_all)(const Launch&, const ParameterList&, double factor);  // of all parameters

  // the machine's limits: pure multiply-add (FLOPs; 0 = not on this type), reading or copying (bytes; a null `to` reads)
  int64_t (*arithmetic_loop)(DType, int64_t iterations);
  int64_t (*memory_loop)(const float* from, float* to, int64_t count);
};

// The tables compiled into this build, best last; null where the build or the processor lacks the instruction set.
namespace baseline { const KernelTable& table(); }
namespace avx2 { const KernelTable& table(); }
namespace avx512 { const KernelTable& table(); }
namespace avx512_bf16 { const KernelTable& table(); }
#ifdef TG_AARCH64
namespace neon { const KernelTable& table(); }
#endif

}  // namespace tg
