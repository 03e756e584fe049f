// The kernel table of this instruction set: the next lower one's, with the rows this one is better at written over it.
#include "kernels/cpu/kernels.h"

namespace tg::TG_ISA {

#define TG_TEXT_OF(x) #x
#define TG_TEXT(x) TG_TEXT_OF(x)

// avx512_bf16 has the registers of avx512: only products of bfloat16 and of int8 gain.
static constexpr bool has_wider_floats = level != Level::avx512_bf16;

static KernelTable lower_table() {
  if constexpr (level == Level::baseline) return {};
  else return lower::table();
}

template <class Row, int count, int some> static void take(Row (&rows)[count], Row const (&better)[some], int first = 0) {
  for (int i = 0; i < some; ++i)
    if (better[i]) rows[first + i] = better[i];
}

static KernelTable make_table() {
  KernelTable t = lower_table();
  t.name = TG_TEXT(TG_ISA);

  t.matmul = matmul;
  t.matmul_workspace = matmul_workspace;
  t.quantized_linear = quantized_linear;
  t.quantized_linear_workspace = quantized_linear_workspace;
  t.attention = attention;
  t.attention_workspace = attention_workspace;
  t.attention_backward = attention_backward;
  t.attention_backward_workspace = attention_backward_workspace;
  t.arithmetic_loop = arithmetic_loop;

  if constexpr (has_wider_floats) {
    take(t.unary, unary_rows);
    take(t.binary, binary_rows);
    take(t.unary, unary_function_rows, unary_basic_count);
    take(t.binary, binary_function_rows, binary_basic_count);
    take(t.compare, compare_rows);
    t.where = where;
    t.copy = copy;
    take(t.reduce, reduce_rows);

    take(t.ternary, ternary_rows);
    t.logsumexp = logsumexp;
    t.flip = flip;
    t.roll = roll;
    t.triangle = triangle;
    t.scan = scan;
    t.sort = sort;
    t.sort_workspace = sort_workspace;
    t.topk = topk;
    t.topk_workspace = topk_workspace;
    t.select = select;
    t.select_workspace = select_workspace;
    t.searchsorted = searchsorted;
    t.conv2d = conv2d;
    t.conv2d_backward_input = conv2d_backward_input;
    t.conv2d_backward_weight = conv2d_backward_weight;
    t.conv2d_workspace = conv2d_workspace;
    t.conv2d_backward_input_workspace = conv2d_backward_input_workspace;
    t.conv2d_backward_weight_workspace = conv2d_backward_weight_workspace;
    t.conv2d_algorithm = conv2d_algorithm;
    t.conv3d = conv3d;
    t.conv3d_backward_input = conv3d_backward_input;
    t.conv3d_backward_weight = conv3d_backward_weight;
    t.conv3d_workspace = conv3d_workspace;
    t.conv3d_backward_input_workspace = conv3d_backward_input_workspace;
    t.conv3d_backward_weight_workspace = conv3d_backward_weight_workspace;

    t.softmax = softmax;
    t.softmax_backward = softmax_backward;
    t.log_softmax = log_softmax;
    t.log_softmax_backward = log_softmax_backward;
    t.cross_entropy = cross_entropy;
    t.cross_entropy_backward = cross_entropy_backward;

    t.soft_cross_entropy = soft_cross_entropy;
    t.soft_cross_entropy_backward = soft_cross_entropy_backward;
    t.pointwise_loss = pointwise_loss;
    t.pointwise_loss_workspace = pointwise_loss_workspace;
    t.pointwise_loss_backward = pointwise_loss_backward;
    t.ctc_loss = ctc_loss;
    t.ctc_loss_backward = ctc_loss_backward;
    t.ctc_loss_workspace = ctc_loss_workspace;

    t.embedding_backward = embedding_backward;
    t.embedding_backward_workspace = embedding_backward_workspace;

    t.lstm = lstm;
    t.lstm_backward = lstm_backward;
    t.gru = gru;
    t.gru_backward = gru_backward;
    t.rnn = rnn;
    t.rnn_backward = rnn_backward;
    t.rnn_workspace = rnn_workspace;
    t.layer_norm = layer_norm;
    t.layer_norm_backward = layer_norm_backward;
    t.layer_norm_backward_workspace = layer_norm_backward_workspace;
    t.rms_norm = rms_norm;
    t.rms_norm_backward = rms_norm_backward;
    t.rms_norm_backward_workspace = rms_norm_backward_workspace;
    t.batch_norm = batch_norm;
    t.batch_norm_workspace = batch_norm_workspace;
    t.batch_norm_backward = batch_norm_backward;
    t.batch_norm_backward_workspace = batch_norm_backward_workspace;
    t.group_norm = group_norm;
    t.group_norm_backward = group_norm_backward;
    t.group_norm_backward_workspace = group_norm_backward_workspace;
    t.channel_affine = channel_affine;

    t.uniform = uniform;
    t.normal = normal;
    t.randint = randint;

    t.sgd = sgd;
    t.adam = adam;
    t.adaptive = adaptive;
    t.total_norm = total_norm;
    t.total_norm_workspace = total_norm_workspace;
    t.scale_all = scale_all;

    t.grid_sample = grid_sample;
    t.grid_sample_backward = grid_sample_backward;
    t.max_pool = max_pool;
    t.max_pool_backward = max_pool_backward;
    t.max_pool_workspace = max_pool_workspace;
    t.resample = resample;
    t.resample_workspace = resample_workspace;

    t.index_select = index_select;
    t.index_add = index_add;
    t.index_copy = index_copy;
    t.gather = gather;
    t.scatter = scatter;
    t.nonzero_count = nonzero_count;
    t.nonzero = nonzero;
    t.pad = pad;
    t.pad_backward = pad_backward;

    t.memory_loop = memory_loop;
  }
  return t;
}

const KernelTable& table() {
  static const KernelTable made = make_table();
  return made;
}

}  // namespace tg::TG_ISA
