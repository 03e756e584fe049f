// What the gates' functions of a recurrent layer are given, whoever made the products.
#pragma once
#include "kernels/arguments/rnn.h"
#include "kernels/cpu/matmul/pack.h"
#include "kernels/cpu/simd_math.h"

namespace tg::TG_ISA {

// Some units of one row of one step.
template <class T> struct Units {
  int64_t row, sequence, before;  // of all rows; of the batch; the row it goes on from, -1 for none
  int64_t unit, count;            // of H; a count of Vec<T>::width or more means a full register
  const T* product;               // W_hh h, gate after gate, Vec<T>::width apart; of one step (one_step.h) with W_ih x
};

}  // namespace tg::TG_ISA
