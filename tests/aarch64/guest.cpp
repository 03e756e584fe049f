// What the emulated image offers besides the kernels: its kernel table, and each operation of Vec<T> on arrays, by name, so that
// it can be held against its definition. All arrays hold `count` elements, a multiple of the register's width.
#include "kernels/cpu/conv2d/phases.h"
#include "kernels/cpu/shuffle.h"
#include "kernels/cpu/simd.h"
#include "kernels/kernel_table.h"

namespace tg::TG_ISA {
namespace {

using Operation = void (*)(const void* a, const void* b, const void* c, void* out, int64_t count);
struct Named {
  const char* name;
  Operation run;
};

template <class T> Vec<T> lanes(Vec<T> v) { return v; }
template <class T> Vec<T> lanes(Mask<T> m) { return select(m, Vec<T>(T(1)), Vec<T>(T(0))); }

// f(a, b, c) register by register.
template <class T, class F> void each(const void* a, const void* b, const void* c, void* out, int64_t count, const F& f) {
  const auto at = [](const void* p, int64_t i) { return Vec<T>::load(static_cast<const T*>(p) + i); };
  for (int64_t i = 0; i < count; i += Vec<T>::width) lanes<T>(f(at(a, i), at(b, i), at(c, i))).store(static_cast<T*>(out) + i);
}

#define TG_EACH(expression)                                                                    \
  [](const void* pa, const void* pb, const void* pc, void* out, int64_t count) {               \
    each<T>(pa, pb, pc, out, count, []([[maybe_unused]] V a, [[maybe_unused]] V b, [[maybe_unused]] V c) { return expression; }); \
  }

template <class T> typename Vec<T>::Int reversed() {
  typename Vec<T>::Int places{};
  for (int i = 0; i < Vec<T>::width; ++i) places[i] = 2 * Vec<T>::width - 1 - 2 * i;
  return places;
}

// The first count % (width + 1) lanes of each register; b's first element fills the others, which the store leaves alone.
template <class T> void parts(const void* a, const void* b, const void*, void* out, int64_t count) {
  constexpr int width = Vec<T>::width;
  const T fill = *static_cast<const T*>(b);
  for (int64_t i = 0, n = 0; i < count; i += width, n = (n + 1) % (width + 1)) {
    const Vec<T> v = Vec<T>::load(static_cast<const T*>(a) + i, n, fill);
    (v + v).store(static_cast<T*>(out) + i, width - n);
  }
}

// Each result fills a register.
template <class T, class F> void fold(const void* a, void* out, int64_t count, const F& f) {
  for (int64_t i = 0; i < count; i += Vec<T>::width)
    Vec<T>(T(f(Vec<T>::load(static_cast<const T*>(a) + i)))).store(static_cast<T*>(out) + i);
}
#define TG_FOLD(expression)                                                          \
  [](const void* pa, const void*, const void*, void* out, int64_t count) {           \
    fold<T>(pa, out, count, [](V a) { return expression; });                         \
  }

template <class T> void transposed(const void* a, const void*, const void*, void* out, int64_t count) {
  constexpr int width = Vec<T>::width;
  for (int64_t i = 0; i < count; i += width * width) {
    Vec<T> r[width];
    for (int j = 0; j < width; ++j) r[j] = Vec<T>::load(static_cast<const T*>(a) + i + j * width);
    transpose(r);
    for (int j = 0; j < width; ++j) r[j].store(static_cast<T*>(out) + i + j * width);
  }
}

template <class T> struct List {
  using V = Vec<T>;
  static constexpr Named operations[] = {
      {"add", TG_EACH(a + b)},
      {"subtract", TG_EACH(a - b)},
      {"multiply", TG_EACH(a * b)},
      {"divide", TG_EACH(a / b)},
      {"negate", TG_EACH(-a)},
      {"less", TG_EACH(a < b)},
      {"less_equal", TG_EACH(a <= b)},
      {"greater", TG_EACH(a > b)},
      {"greater_equal", TG_EACH(a >= b)},
      {"equal", TG_EACH(a == b)},
      {"not_equal", TG_EACH(a != b)},
      {"mask_and", TG_EACH((a < b) & (b < c))},
      {"mask_or", TG_EACH((a < b) | (b < c))},
      {"mask_not", TG_EACH(!(a < b))},
      {"fma", TG_EACH(fma(a, b, c))},
      {"select", TG_EACH(select(a < b, b, c))},
      {"max_or_second", TG_EACH(max_or_second(a, b))},
      {"min_or_second", TG_EACH(min_or_second(a, b))},
      {"max", TG_EACH(max(a, b))},
      {"min", TG_EACH(min(a, b))},
      {"sqrt", TG_EACH(sqrt(a))},
      {"floor", TG_EACH(floor(a))},
      {"ceil", TG_EACH(ceil(a))},
      {"trunc", TG_EACH(trunc(a))},
      {"round", TG_EACH(round(a))},
      {"abs", TG_EACH(abs(a))},
      {"copysign", TG_EACH(copysign(a, b))},
      {"interleave_low", TG_EACH(interleave_low(a, b))},
      {"interleave_high", TG_EACH(interleave_high(a, b))},
      {"even_lanes", TG_EACH(even_lanes(a, b))},
      {"odd_lanes", TG_EACH(odd_lanes(a, b))},
      {"shuffled", TG_EACH(shuffled(a, b, reversed<T>()))},
      {"parts", parts<T>},
      {"reduce_add", TG_FOLD(reduce_add(a))},
      {"reduce_max", TG_FOLD(reduce_max(a))},
      {"reduce_min", TG_FOLD(reduce_min(a))},
      {"bits", TG_FOLD(bits(a < V(T(0))))},
      {"any", TG_FOLD(any(a < V(T(0))))},
      {"all", TG_FOLD(all(a < V(T(0))))},
      {"transpose", transposed<T>},
      {},
  };
};

// --- conversions; the type of each array stands in its name ------------------------------------------------------------
template <class From, class To> void convert(const void* a, const void*, const void*, void* out, int64_t count) {
  const From* from = static_cast<const From*>(a);
  To* to = static_cast<To*>(out);
  // The last register goes lane by lane: 1, 2, 3, ... of them at a time.
  constexpr int64_t width = Vec<float>::width;
  int64_t i = 0, n = 1;
  for (; i + 4 * width <= count; i += width) Vec<float>::load(from + i).store(to + i);
  for (; i < count; i += n, n = n % width + 1)
    Vec<float>::load(from + i, count - i < n ? count - i : n).store(to + i, count - i < n ? count - i : n);
}
void widen(const void* a, const void*, const void*, void* out, int64_t count) {
  for (int64_t i = 0; i < count; i += Vec<float>::width) {
    const Vec<float> v = Vec<float>::load(static_cast<const float*>(a) + i);
    widen_low(v).store(static_cast<double*>(out) + i);
    widen_high(v).store(static_cast<double*>(out) + i + Vec<double>::width);
  }
}
void narrowed(const void* a, const void*, const void*, void* out, int64_t count) {
  for (int64_t i = 0; i < count; i += Vec<float>::width) {
    const double* from = static_cast<const double*>(a) + i;
    narrow(Vec<double>::load(from), Vec<double>::load(from + Vec<double>::width)).store(static_cast<float*>(out) + i);
  }
}
void next(const void* a, const void*, const void*, void* out, int64_t count) {
  for (int64_t i = 0; i < count; i += Vec<float>::width)
    next_lanes(Vec<float>::load(static_cast<const float*>(a) + i)).store(static_cast<float*>(out) + i);
}

constexpr Named conversions[] = {
    {"float32 float64", widen},
    {"float64 float32", narrowed},
    {"bfloat16 float32", convert<bf16, float>},
    {"float32 bfloat16", convert<float, bf16>},
    {"float16 float32", convert<f16, float>},
    {"float32 float16", convert<float, f16>},
    {"next_lanes", next},
    {},
};

const void* exports[4];

}  // namespace
}  // namespace tg::TG_ISA

// The kernel table, then the lists of operations.
extern "C" const void* exported() {
  using namespace tg::TG_ISA;
  exports[0] = &table();
  exports[1] = List<float>::operations;
  exports[2] = List<double>::operations;
  exports[3] = conversions;
  return exports;
}

int main() { return exported() == nullptr; }  // never called: the C library's start file wants it
