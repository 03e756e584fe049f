// The tap tables of pooling and interpolation.
#include "ops/taps.h"

#include <algorithm>
#include <cmath>

namespace tg::ops {

TapTable transposed(const TapTable& t) {
  TapTable r;
  r.in = t.out, r.out = t.in;
  r.first.assign(static_cast<size_t>(t.in) + 1, 0);
  for (int64_t i : t.index) ++r.first[i + 1];
  for (int64_t i = 0; i < t.in; ++i) r.first[i + 1] += r.first[i];
  r.index.resize(t.index.size());
  r.weight.resize(t.index.size());
  std::vector<int64_t> next(r.first.begin(), r.first.end() - 1);
  for (int64_t o = 0; o < t.out; ++o) {
    for (int64_t k = t.first[o]; k < t.first[o + 1]; ++k) {
      const int64_t at = next[t.index[k]]++;
      r.index[at] = o;
      r.weight[at] = t.divisor.empty() ? t.weight[k] : t.weight[k] / t.divisor[o];
    }
  }
  return r;
}

int64_t window_count(const char* op, int64_t in, const Window& w, bool ceil_mode) {
  const int64_t reach = w.dilation * (w.kernel - 1) + 1, room = in + 2 * w.padding - reach;
  // room can be negative: round down then, too
  int64_t count = (room + (ceil_mode ? w.stride - 1 : 0));
  count = (count >= 0 ? count / w.stride : -((-count + w.stride - 1) / w.stride)) + 1;
  if (ceil_mode && (count - 1) * w.stride >= in + w.padding) --count;  // a window must start inside or in the left border
  check(count >= 1, ErrorKind::runtime,
        "{}: a window of {} places (dilation {}) does not fit a dim of size {} with padding {}: calculated output size {} is "
        "too small",
        op, w.kernel, w.dilation, in, w.padding, count);
  return count;
}

TapTable window_taps(int64_t in, int64_t out, const Window& w) {
  TapTable t;
  t.in = in, t.out = out;
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o * w.stride - w.padding;
    const int64_t from = start < 0 ? (-start + w.dilation - 1) / w.dilation : 0;
    const int64_t to = in > start ? std::min(w.kernel, (in - start + w.dilation - 1) / w.dilation) : 0;
    for (int64_t k = from; k < to; ++k) t.tap(start + k * w.dilation, 1);
    t.end_of_place();
  }
  return t;
}

TapTable adaptive_taps(int64_t in, int64_t out) {
  TapTable t;
  t.in = in, t.out = out;
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o / out * in + o % out * in / out, end = ((o + 1) * in + out - 1) / out;
    for (int64_t i = start; i < end; ++i) t.tap(i, 1);
    t.end_of_place();
  }
  return t;
}

void make_even(const char* op, TapTable& t) {
  int64_t most = 0;
  bool even = true;
  for (int64_t o = 0; o < t.out; ++o) {
    const int64_t count = t.first[o + 1] - t.first[o];
    check(count > 0, ErrorKind::runtime, "{}: window {} of a dim of size {} lies outside the input: its dilation steps over it",
          op, o, t.in);
    even = even && (o == 0 || count == most);
    most = std::max(most, count);
  }
  if (even) return;
  TapTable r;
  r.in = t.in, r.out = t.out;
  for (int64_t o = 0; o < t.out; ++o) {
    for (int64_t k = 0; k < most; ++k) r.tap(t.index[std::min(t.first[o] + k, t.first[o + 1] - 1)], 1);
    r.end_of_place();
  }
  t = std::move(r);
}

TapTable average_taps(int64_t in, int64_t out, const Window& w, bool count_include_pad) {
  TapTable t = window_taps(in, out, w);
  for (int64_t o = 0; o < out; ++o) {
    const int64_t start = o * w.stride - w.padding, end = std::min(start + w.kernel, in + w.padding);
    const int64_t counted = count_include_pad ? end - start : t.first[o + 1] - t.first[o];
    t.divisor.push_back(static_cast<double>(counted));
  }
  return t;
}

namespace {

constexpr double cubic_a(bool antialias) { return antialias ? -0.5 : -0.75; }

// Keys' cubic convolution kernel.
double cubic_weight(double x, double a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

double linear_weight(double x) { return std::max(0.0, 1 - std::fabs(x)); }

template <class F> int64_t nearest_place(int64_t o, int64_t in, int64_t out, const InterpolationOptions& options) {
  const F scale = options.scale > 0 ? static_cast<F>(1 / options.scale) : static_cast<F>(in) / static_cast<F>(out);
  const F offset = options.mode == Interpolation::nearest_exact ? F(0.5) : F(0);
  return std::min(static_cast<int64_t>(std::floor((static_cast<F>(o) + offset) * scale)), in - 1);
}

// The kernel is stretched over as many places as a result stands for, and its weights are made to add up to 1.
void antialiased(TapTable& t, int64_t o, double scale, bool cubic) {
  const double stretch = std::max(scale, 1.0), support = (cubic ? 2.0 : 1.0) * stretch;
  const double centre = scale * (static_cast<double>(o) + 0.5);
  const int64_t begin = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
  const int64_t end = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), t.in);
  double total = 0;
  for (int64_t i = begin; i < end; ++i) {
    const double x = (static_cast<double>(i) + 0.5 - centre) / stretch;
    total += cubic ? cubic_weight(x, cubic_a(true)) : linear_weight(x);
  }
  for (int64_t i = begin; i < end; ++i) {
    const double x = (static_cast<double>(i) + 0.5 - centre) / stretch;
    t.tap(i, (cubic ? cubic_weight(x, cubic_a(true)) : linear_weight(x)) / total);
  }
}

}  // namespace

TapTable interpolation_taps(int64_t in, int64_t out, const InterpolationOptions& options) {
  if (options.mode == Interpolation::area) {
    TapTable t = adaptive_taps(in, out);
    for (int64_t o = 0; o < out; ++o) t.divisor.push_back(static_cast<double>(t.first[o + 1] - t.first[o]));
    return t;
  }
  TapTable t;
  t.in = in, t.out = out;
  const bool corners = options.align_corners;
  const double scale = corners ? (out > 1 ? static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0)
                               : (options.scale > 0 ? 1 / options.scale : static_cast<double>(in) / static_cast<double>(out));
  for (int64_t o = 0; o < out; ++o) {
    if (options.mode == Interpolation::nearest || options.mode == Interpolation::nearest_exact) {
      t.tap(options.in_float ? nearest_place<float>(o, in, out, options) : nearest_place<double>(o, in, out, options), 1);
    } else if (options.antialias) {
      antialiased(t, o, scale, options.mode == Interpolation::cubic);
    } else {
      const double at = corners ? scale * static_cast<double>(o) : scale * (static_cast<double>(o) + 0.5) - 0.5;
      auto inside = [&](int64_t i) { return std::min(std::max<int64_t>(i, 0), in - 1); };
      if (options.mode == Interpolation::linear) {
        const double place = std::max(at, 0.0);
        const int64_t low = inside(static_cast<int64_t>(place)), high = inside(low + 1);
        const double part = std::min(std::max(place - static_cast<double>(low), 0.0), 1.0);
        if (high == low) t.tap(low, 1);
        else t.tap(low, 1 - part), t.tap(high, part);
      } else {
        const auto low = static_cast<int64_t>(std::floor(at));
        const double part = at - static_cast<double>(low), a = cubic_a(false);
        for (int64_t k = -1; k <= 2; ++k) t.tap(inside(low + k), cubic_weight(part - static_cast<double>(k), a));
      }
    }
    t.end_of_place();
  }
  return t;
}

}  // namespace tg::ops
