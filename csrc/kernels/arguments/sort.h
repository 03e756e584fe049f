// What the kernels that order numbers are given. NaN counts as the largest number and equal to itself.
#pragma once
#include "kernels/views.h"

namespace tg {

struct Sort {
  Rows in;                   // (rows, cols)
  void* values = nullptr;    // (rows, cols) contiguous, in's dtype
  int64_t* where = nullptr;  // (rows, cols) contiguous: the column each value comes from; equal values keep their order
  bool descending = false;
};

struct TopK {
  Rows in;                   // (rows, cols)
  void* values = nullptr;    // (rows, k) contiguous, the best first
  int64_t* where = nullptr;  // (rows, k); of equal values the first columns are taken
  int64_t k = 0;
  bool largest = true;
};

struct Select {
  enum Kind : int64_t { ranked, median, nanmedian };
  Rows in;                   // (rows, cols)
  void* values = nullptr;    // rows, in's dtype
  int64_t* where = nullptr;  // rows: the column the value comes from; of equal values the one that sorting would put there
  Kind kind = ranked;
  int64_t rank = 0;  // of `ranked`, counted from 0
};

struct SearchSorted {
  Rows sorted;             // one row for all, or one for each row of `values`; ascending
  Rows values;             // of the same dtype
  int64_t* out = nullptr;  // (rows, cols) of `values`: how many of the row are < value (right: <= value)
  bool right = false;
};

}  // namespace tg
