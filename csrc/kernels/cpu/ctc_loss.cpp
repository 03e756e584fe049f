// ctc_loss: the probability of a label sequence, summed over all ways to stretch it over time (Graves et al. 2006).
//
// A target l_1 ... l_S becomes the states  blank l_1 blank l_2 ... l_S blank  (2 S + 1 of them). A path enters at one of the first
// two, stays or moves on by one state at each step, and may jump over a blank between two different labels:
//
//   states   blank   l_1   blank   l_2   blank           alpha[t][s] = log sum of the probabilities of all beginnings that are in
//     t = 0    o      o                                                state s at time t
//     t = 1    o  \   o  \                               alpha[t][s] = lp[t][label s] + log(e^alpha[t-1][s] + e^alpha[t-1][s-1]
//     t = 2    o      o      o   -> o                                                       + e^alpha[t-1][s-2] if s may be jumped to)
//
//   loss = -log(e^alpha[T-1][last] + e^alpha[T-1][last - 1])
//
// Backward, beta[t][s] is the same for the ends after time t, and the probability of being in s at t is
// e^(alpha + beta + loss); with it   dlp[t][c] = -dloss sum over the states s of label c of that.
//
// Shapes: log_probs, gradient (T, N, C); alpha (N, T, states + 2), whose first two columns are -infinity so that s - 1 and s - 2
// can always be read; loss (N). States go side by side in registers; a sample is one unit of work.
//
// Cost: per sample T (2 S + 1) steps of three exponentials and a logarithm, each way. Numerics: all in the logarithm, float32 or
// float64; a step where nothing is possible stays at -infinity without making a NaN. A target that does not fit its input has the
// loss infinity; its gradient is NaN, or 0 with zero_infinity.
#include "core/parallel.h"
#include "kernels/arguments/loss.h"
#include "kernels/cpu/rows.h"

namespace tg::TG_ISA {

static constexpr int64_t guard = 2;  // columns of -infinity before the first state

template <class T> static int64_t row_size(const CtcLoss& a) { return a.states + guard + Vec<T>::width; }

// log(e^a + e^b + e^c)
template <class T> TG_INLINE Vec<T> log_add(Vec<T> a, Vec<T> b, Vec<T> c) {
  const Vec<T> lowest(-Format<T>::infinity), high = max(max(a, b), c);
  const Vec<T> shift = select(high == lowest, Vec<T>(T(0)), high);
  return log((exp(a - shift) + exp(b - shift)) + exp(c - shift)) + shift;
}

// What a sample needs beside alpha: rows of states, in the workspace.
template <class T> struct Scratch {
  T *emitted, *jump, *beta, *next;  // log probability of each state's label; 0 where it may be jumped to, else -infinity
  Scratch(void* workspace, int64_t sample, int64_t size) {
    T* const at = static_cast<T*>(workspace) + sample * 4 * size;
    emitted = at, jump = at + size, beta = at + 2 * size, next = at + 3 * size;
  }
};

static int64_t label_of(const CtcLoss& a, const int64_t* target, int64_t s) { return s % 2 ? target[s / 2] : a.blank; }

template <class T> static void fill(T* x, int64_t n, T value) {
  for (int64_t i = 0; i < n; ++i) x[i] = value;
}

// jump[s]: may state s be reached from s - 2?
template <class T> static void mark_jumps(const int64_t* target, int64_t states, T* jump) {
  for (int64_t s = 0; s < states; ++s)
    jump[s] = s >= 3 && s % 2 && target[s / 2] != target[s / 2 - 1] ? T(0) : -Format<T>::infinity;
}

template <class T> static void ctc_forward(const CtcLoss& a, int64_t n, const Launch& launch) {
  const T lowest = -Format<T>::infinity;
  const int64_t size = row_size<T>(a), row_length = a.states + guard, steps = a.input_lengths[n];
  const int64_t states = 2 * a.target_lengths[n] + 1;
  const int64_t* const target = a.targets + a.offsets[n];
  const Scratch<T> scratch(launch.workspace, n, size);
  T* const alpha = static_cast<T*>(a.alpha) + n * a.time * row_length;
  mark_jumps(target, states, scratch.jump);
  for (int64_t t = 0; t < a.time; ++t) fill(alpha + t * row_length, row_length, lowest);
  for (int64_t t = 0; t < steps; ++t) {
    const T* const lp = static_cast<const T*>(a.log_probs) + (t * a.batch + n) * a.classes;
    T *const now = alpha + t * row_length + guard, *const before = now - row_length;
    if (t == 0) {
      now[0] = lp[a.blank];
      if (states > 1) now[1] = lp[target[0]];
      continue;
    }
    for (int64_t s = 0; s < states; ++s) scratch.emitted[s] = lp[label_of(a, target, s)];
    for (int64_t s = 0; s < states; s += Vec<T>::width) {
      const int64_t count = states - s;
      const Vec<T> stay = Vec<T>::load(before + s, count, lowest), move = Vec<T>::load(before + s - 1, count, lowest);
      const Vec<T> leap = Vec<T>::load(before + s - 2, count, lowest) + Vec<T>::load(scratch.jump + s, count);
      (log_add(stay, move, leap) + Vec<T>::load(scratch.emitted + s, count)).store(now + s, count);
    }
  }
  T* const loss = static_cast<T*>(a.loss) + n;
  if (steps == 0) {
    *loss = states == 1 ? T(0) : -lowest;
    return;
  }
  const T* const last = alpha + (steps - 1) * row_length + guard;
  T lanes[Vec<T>::width];
  log_add(Vec<T>(last[states - 1]), Vec<T>(states > 1 ? last[states - 2] : lowest), Vec<T>(lowest)).store(lanes);
  *loss = -lanes[0];
}

template <class T> static void ctc_backward(const CtcLoss& a, int64_t n, T dloss, T* gradient, const Launch& launch) {
  const T lowest = -Format<T>::infinity;
  const int64_t size = row_size<T>(a), row_length = a.states + guard, steps = a.input_lengths[n];
  const int64_t states = 2 * a.target_lengths[n] + 1;
  const int64_t* const target = a.targets + a.offsets[n];
  Scratch<T> scratch(launch.workspace, n, size);
  const T* const alpha = static_cast<const T*>(a.alpha) + n * a.time * row_length;
  const T loss = static_cast<const T*>(a.loss)[n];
  auto row_at = [&](int64_t t) { return gradient + (t * a.batch + n) * a.classes; };
  const bool possible = loss != -lowest;
  for (int64_t t = 0; t < a.time; ++t)
    fill(row_at(t), a.classes, t < steps && !possible && !a.zero_infinity ? T(__builtin_nan("")) : T(0));
  if (!possible) return;
  mark_jumps(target, states, scratch.jump);
  fill(scratch.jump + states, size - states, lowest);
  fill(scratch.beta, size, lowest);
  fill(scratch.next, size, lowest);
  const Vec<T> all(loss);
  for (int64_t t = steps - 1; t >= 0; --t) {
    if (t == steps - 1) {
      scratch.beta[states - 1] = T(0);
      if (states > 1) scratch.beta[states - 2] = T(0);
    } else {  // `next` holds beta[t + 1] + lp[t + 1]; a jump from s lands on s + 2
      for (int64_t s = 0; s < states; s += Vec<T>::width) {
        const int64_t count = states - s;
        const Vec<T> stay = Vec<T>::load(scratch.next + s, count, lowest);
        const Vec<T> move = Vec<T>::load(scratch.next + s + 1, count, lowest);
        const Vec<T> leap = Vec<T>::load(scratch.next + s + 2, count, lowest) + Vec<T>::load(scratch.jump + s + 2, count);
        log_add(stay, move, leap).store(scratch.beta + s, count);
      }
    }
    const T* const lp = static_cast<const T*>(a.log_probs) + (t * a.batch + n) * a.classes;
    for (int64_t s = 0; s < states; ++s) scratch.emitted[s] = lp[label_of(a, target, s)];
    T* const here = row_at(t);
    for (int64_t s = 0; s < states; s += Vec<T>::width) {
      const int64_t count = states - s < Vec<T>::width ? states - s : Vec<T>::width;
      const Vec<T> beta = Vec<T>::load(scratch.beta + s, count, lowest);
      (beta + Vec<T>::load(scratch.emitted + s, count)).store(scratch.next + s, count);
      T share[Vec<T>::width];
      exp(Vec<T>::load(alpha + t * row_length + guard + s, count, lowest) + beta + all).store(share);
      for (int64_t j = 0; j < count; ++j) here[label_of(a, target, s + j)] -= share[j] * dloss;
    }
  }
}

// --- rows of the table ------------------------------------------------------------------------------------------------
Status ctc_loss(const Launch& launch, const CtcLoss& a) {
  auto run = [&]<class T>() {
    parallel_for(launch, a.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) ctc_forward<T>(a, n, launch);
    });
    return Status{};
  };
  if (a.dtype == DType::f32) return run.template operator()<float>();
  if (a.dtype == DType::f64) return run.template operator()<double>();
  return {Status::missing};
}

Status ctc_loss_backward(const Launch& launch, const CtcLoss& a, const void* dloss, void* gradient) {
  auto run = [&]<class T>() {
    parallel_for(launch, a.batch, 1, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        ctc_backward<T>(a, n, static_cast<const T*>(dloss)[n], static_cast<T*>(gradient), launch);
    });
    return Status{};
  };
  if (a.dtype == DType::f32) return run.template operator()<float>();
  if (a.dtype == DType::f64) return run.template operator()<double>();
  return {Status::missing};
}

size_t ctc_loss_workspace(const CtcLoss& a) {
  return a.dtype == DType::f64 ? size_t(4 * a.batch * row_size<double>(a)) * sizeof(double)
                               : size_t(4 * a.batch * row_size<float>(a)) * sizeof(float);
}

}  // namespace tg::TG_ISA
