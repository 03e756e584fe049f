// Every row that this instruction set may put into its table, declared. table.cpp reads them off; the kernel files define them.
#pragma once
#include "kernels/kernel_table.h"

namespace tg::TG_ISA {

// The next lower instruction set. This one's table starts as a copy of that one's, and kernels hand on to it what they do no
// better.
#if defined(TG_ISA_avx512_bf16)
namespace lower = avx512;
#elif defined(TG_ISA_avx512)
namespace lower = avx2;
#elif defined(TG_ISA_avx2) || defined(TG_ISA_neon)
namespace lower = baseline;
#else  // there is none: never called
namespace lower { const KernelTable& table(); }
#endif

#if defined(TG_ISA_neon)
enum class Level { baseline, neon, avx512_bf16 };
#else
enum class Level { baseline, avx2, avx512, avx512_bf16 };
#endif
inline constexpr Level level = Level::TG_ISA;

// elementwise.cpp; a null entry means that the next lower instruction set does it as well
extern Status (*const unary_rows[unary_basic_count])(const Launch&, const Strided<2>&);
extern Status (*const binary_rows[binary_basic_count])(const Launch&, const Strided<3>&);
extern Status (*const compare_rows[compare_count])(const Launch&, const Strided<3>&);
extern Status (*const unary_function_rows[unary_count - unary_basic_count])(const Launch&, const Strided<2>&);
extern Status (*const binary_function_rows[binary_count - binary_basic_count])(const Launch&, const Strided<3>&);
Status where(const Launch&, const Strided<4>&);

// copy.cpp
Status copy(const Launch&, const Strided<2>&);

// reduce.cpp
extern Status (*const reduce_rows[reduce_count])(const Launch&, const Reduction&);

// matmul.cpp
Status matmul(const Launch&, const Matmul&);
size_t matmul_workspace(const Matmul&, int threads);

// quantized_linear.cpp
Status quantized_linear(const Launch&, const QuantizedLinear&);
size_t quantized_linear_workspace(const QuantizedLinear&);

// conv2d/conv2d.cpp
Status conv2d(const Launch&, const Conv2d&);
Status conv2d_backward_input(const Launch&, const Conv2d&);
Status conv2d_backward_weight(const Launch&, const Conv2d&);
size_t conv2d_workspace(const Conv2d&, int threads);
size_t conv2d_backward_input_workspace(const Conv2d&, int threads);
size_t conv2d_backward_weight_workspace(const Conv2d&, int threads);
const char* conv2d_algorithm(const Conv2d&, ConvPass);

// conv2d/conv2d.cpp: volumes
Status conv3d(const Launch&, const Conv3d&);
Status conv3d_backward_input(const Launch&, const Conv3d&);
Status conv3d_backward_weight(const Launch&, const Conv3d&);
size_t conv3d_workspace(const Conv3d&, int threads);
size_t conv3d_backward_input_workspace(const Conv3d&, int threads);
size_t conv3d_backward_weight_workspace(const Conv3d&, int threads);

// softmax.cpp
Status softmax(const Launch&, const Rows& x, const Rows& y);
Status softmax_backward(const Launch&, const Rows& y, const Rows& dy, const Rows& dx);
Status log_softmax(const Launch&, const Rows& x, const Rows& y);
Status log_softmax_backward(const Launch&, const Rows& y, const Rows& dy, const Rows& dx);

// attention
Status attention(const Launch&, const Attention&);
size_t attention_workspace(const Attention&, int threads);
Status attention_backward(const Launch&, const Attention&, const AttentionGradients&);
size_t attention_backward_workspace(const Attention&, int threads);

// loss.cpp
Status cross_entropy(const Launch&, const CrossEntropy&);
Status cross_entropy_backward(const Launch&, const CrossEntropy&, const void* dloss, const Rows& dlogits);

// soft_cross_entropy.cpp, pointwise_loss.cpp, ctc_loss.cpp
Status soft_cross_entropy(const Launch&, const SoftCrossEntropy&);
Status soft_cross_entropy_backward(const Launch&, const SoftCrossEntropy&, const void* dloss, const Rows& dlogits);
Status pointwise_loss(const Launch&, const PointwiseLoss&);
size_t pointwise_loss_workspace(const PointwiseLoss&);
Status pointwise_loss_backward(const Launch&, const PointwiseLoss&, const void* dloss, bool each, void* dx);
Status ctc_loss(const Launch&, const CtcLoss&);
Status ctc_loss_backward(const Launch&, const CtcLoss&, const void* dloss, void* dlog_probs);
size_t ctc_loss_workspace(const CtcLoss&);

// norm/
Status layer_norm(const Launch&, const RowNorm&);
Status layer_norm_backward(const Launch&, const RowNormBackward&);
size_t layer_norm_backward_workspace(const RowNormBackward&);
Status rms_norm(const Launch&, const RowNorm&);
Status rms_norm_backward(const Launch&, const RowNormBackward&);
size_t rms_norm_backward_workspace(const RowNormBackward&);
Status batch_norm(const Launch&, const ChannelNorm&);
size_t batch_norm_workspace(const ChannelNorm&);
Status batch_norm_backward(const Launch&, const ChannelNormBackward&);
size_t batch_norm_backward_workspace(const ChannelNormBackward&);
Status group_norm(const Launch&, const ChannelNorm&);
Status group_norm_backward(const Launch&, const ChannelNormBackward&);
size_t group_norm_backward_workspace(const ChannelNormBackward&);
Status channel_affine(const Launch&, const ChannelAffine&);

// gather.cpp
Status index_select(const Launch&, const Indexed&);
Status index_add(const Launch&, const Indexed&);
Status index_copy(const Launch&, const Indexed&);

// positions.cpp
Status gather(const Launch&, const Positions&);
Status scatter(const Launch&, const Positions&);
Status nonzero_count(const Launch&, const Nonzero&);
Status nonzero(const Launch&, const Nonzero&);

// rearrange.cpp
Status flip(const Launch&, const AlongDim&);
Status roll(const Launch&, const AlongDim&);
Status triangle(const Launch&, const Triangle&);

// scan.cpp
Status scan(const Launch&, const Scan&);

// sort.cpp
Status sort(const Launch&, const Sort&);
size_t sort_workspace(const Sort&, int threads);
Status topk(const Launch&, const TopK&);
size_t topk_workspace(const TopK&, int threads);
Status searchsorted(const Launch&, const SearchSorted&);

// select.cpp
Status select(const Launch&, const Select&);
size_t select_workspace(const Select&, int threads);

// logsumexp.cpp
Status logsumexp(const Launch&, const Rows& x, const Rows& y);

// ternary.cpp
extern Status (*const ternary_rows[ternary_count])(const Launch&, const Strided<4>&);
// embedding.cpp
Status embedding_backward(const Launch&, const EmbeddingBackward&);
size_t embedding_backward_workspace(const EmbeddingBackward&);

// rnn/
Status lstm(const Launch&, const Recurrent&);
Status lstm_backward(const Launch&, const RecurrentBackward&);
Status gru(const Launch&, const Recurrent&);
Status gru_backward(const Launch&, const RecurrentBackward&);
Status rnn(const Launch&, const Recurrent&);
Status rnn_backward(const Launch&, const RecurrentBackward&);
size_t rnn_workspace(const Recurrent&, int gates, bool backward);

// random.cpp
Status uniform(const Launch&, const Random&, const Strided<1>& out, double low, double high);
Status normal(const Launch&, const Random&, const Strided<1>& out, double mean, double std);
Status randint(const Launch&, const Random&, const Strided<1>& out, int64_t low, int64_t high);

// optimizer/
Status sgd(const Launch&, const ParameterList&, const SgdStep&);
Status adam(const Launch&, const ParameterList&, const AdamStep&);
Status adaptive(const Launch&, const ParameterList&, const AdaptiveStep&);
Status total_norm(const Launch&, const ParameterList&, double p, double* out);
size_t total_norm_workspace(const ParameterList&);
Status scale_all(const Launch&, const ParameterList&, double factor);

// pad.cpp
Status pad(const Launch&, const Pad&, const void* in, void* out);
Status pad_backward(const Launch&, const Pad&, const void* dy, void* dx);

// grid_sample.cpp
Status grid_sample(const Launch&, const GridSample&, const void* in, const void* grid, void* out);
Status grid_sample_backward(const Launch&, const GridSample&, const void* dy, const void* in, const void* grid, void* dx,
                            void* dgrid);

// max_pool.cpp
Status max_pool(const Launch&, const Pool&, const void* in, void* out, int64_t* places);
Status max_pool_backward(const Launch&, const Pool&, const void* in, const void* dy, void* dx);
size_t max_pool_workspace(const Pool&);

// resample.cpp
Status resample(const Launch&, const Resample&, const void* in, void* out);
size_t resample_workspace(const Resample&);

// probe.cpp
int64_t arithmetic_loop(DType, int64_t iterations);
int64_t memory_loop(const float* from, float* to, int64_t count);

}  // namespace tg::TG_ISA
