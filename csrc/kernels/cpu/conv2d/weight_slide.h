// The gradient for the weight where groups have few output channels: registers run along the pixels of a line.
//
//               16 pixels of dy, channel o          sums[k][o], one per lane; the lanes are added at the very end
//   x + offset[k]  (16 pixels)  *  dy[o]   ->   sums[k][o] += , for 3 terms k and up to mr channels o at a time
//
// A chunk is a fixed part of the batch: 4096 pixels at most (of float32 with AVX-512), or a line. Each lane's sum over a chunk is
// one chain of FMAs from zero (two where lines do not end with a register; more, of 512 each, where they are very long). Chunks
// are added in order, the lanes by a fixed tree. Threads divide groups and terms, never pixels.
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/conv2d/axis.h"
#include "kernels/cpu/conv2d/gather.h"

namespace tg::TG_ISA {

inline constexpr int slide_terms = 3;

// sums[k][o] += over the registers of pixels listed: each is `pixels` lanes at x + x_at[v] and y + y_at[v].
template <class T> struct SlideSum {
  const T* x[slide_terms];
  const T* y;
  int64_t y_stride;  // from one output channel to the next
  const int64_t *x_at, *y_at;
  int64_t count;   // registers
  int64_t pixels;  // lanes that exist
  T* sums[slide_terms];
};

template <class T, int channels, bool whole> [[gnu::noinline]] static void slide_sum(const SlideSum<T>& s) {
  using V = Vec<T>;
  V sum[slide_terms][channels];
#pragma GCC unroll 4
  for (int k = 0; k < slide_terms; ++k)
#pragma GCC unroll 16
    for (int o = 0; o < channels; ++o) sum[k][o] = V(T(0));
  for (int64_t v = 0; v < s.count; ++v) {
    const int64_t x_at = s.x_at[v];
    const T* y = s.y + s.y_at[v];
    V x[slide_terms];
#pragma GCC unroll 4
    for (int k = 0; k < slide_terms; ++k) x[k] = whole ? V::load(s.x[k] + x_at) : V::load(s.x[k] + x_at, s.pixels);
#pragma GCC unroll 16
    for (int o = 0; o < channels; ++o, y += s.y_stride) {
      const V dy = whole ? V::load(y) : V::load(y, s.pixels);
#pragma GCC unroll 4
      for (int k = 0; k < slide_terms; ++k) sum[k][o] = fma(x[k], dy, sum[k][o]);
    }
  }
#pragma GCC unroll 4
  for (int k = 0; k < slide_terms; ++k)
#pragma GCC unroll 16
    for (int o = 0; o < channels; ++o) {
      T* const out = s.sums[k] + o * V::width;
      (V::load(out) + sum[k][o]).store(out);
    }
}

template <class T, bool whole, int channels = mr> TG_INLINE void slide_sum(const SlideSum<T>& s, int64_t wanted) {
  if constexpr (channels > 1)
    if (wanted < channels) return slide_sum<T, whole, channels - 1>(s, wanted);
  slide_sum<T, channels, whole>(s);
}

template <class T> struct WeightSlide {
  static constexpr int width = Vec<T>::width;
  static constexpr int64_t line = 64 / int64_t(sizeof(T));
  static constexpr int64_t chunk_pixels = kc * width / 2;

  const Conv3d& c;
  const Volumes &x, &y;
  int64_t in_channels, out_channels, taps, terms;  // of a group
  Frame frame;
  Box chunk;
  int64_t cuts[3];                        // chunks along images, planes, lines
  int64_t pieces, rows, workers;          // a job is one group's terms [piece * rows, ...)
  int64_t copy_size, sums_size, vectors;  // elements of the workspace
  int64_t* tap_offsets;

  // Are fewer lanes idle than with output channels in the lanes?
  static bool suits(const Conv3d& c) {
    const int64_t channels = c.y.channels / c.groups, pixels = c.y.size[2];
    const int64_t terms = c.x.channels / c.groups * c.kernel[0] * c.kernel[1] * c.kernel[2];
    if (channels > mr) return false;
    const int64_t slid = round_up(pixels, width) * round_up(terms, slide_terms) * channels;
    return slid < pixels * width * round_up(terms, mr);
  }

  WeightSlide(const Conv3d& conv, int threads) : c(conv), x(conv.x), y(conv.y) {
    in_channels = x.channels / c.groups, out_channels = y.channels / c.groups;
    taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    terms = in_channels * taps;
    for (int d = 0; d < 3; ++d) {
      const Axis a = forward_axis(c, d);
      frame.step[d] = a.step, frame.low[d] = a.low(), frame.high[d] = a.high();
    }
    const int64_t plane = y.size[1] * y.size[2], image = plane * y.size[0];
    chunk.count[2] = y.size[2];
    chunk.count[1] = part(y.size[1], chunk_pixels / y.size[2]);
    chunk.count[0] = plane <= chunk_pixels ? part(y.size[0], chunk_pixels / plane) : 1;
    chunk.images = image <= chunk_pixels ? part(y.batch, chunk_pixels / image) : 1;
    cuts[0] = ceil_div(y.batch, chunk.images);
    for (int d = 0; d < 2; ++d) cuts[d + 1] = ceil_div(y.size[d], chunk.count[d]);
    frame.read_copy(chunk.count, frame.step[2], in_channels, line);

    const double operations = 2.0 * double(c.groups) * double(terms) * double(out_channels) * double(y.batch) * double(image);
    workers = workers_for(operations, threads);
    const int64_t triples = ceil_div(terms, slide_terms);
    pieces = c.groups >= 4 * workers ? 1 : smaller(workers, triples);
    rows = ceil_div(triples, pieces) * slide_terms;
    workers = smaller(workers, c.groups * pieces);
    vectors = chunk.images * chunk.count[0] * chunk.count[1] * ceil_div(y.size[2], width);
    copy_size = chunk.images * frame.image + width;
    sums_size = rows * out_channels * width;
  }
  static int64_t part(int64_t total, int64_t largest) {
    return ceil_div(total, ceil_div(total, larger(1, smaller(largest, total))));
  }

  template <class E> static size_t bytes(int64_t count) { return size_t(round_up(count * int64_t(sizeof(E)), 64)); }
  size_t worker_bytes() const { return bytes<T>(copy_size) + bytes<T>(sums_size) + 2 * bytes<int64_t>(vectors); }
  size_t workspace() const { return bytes<int64_t>(terms) + size_t(workers) * worker_bytes(); }

  void run(const Launch& launch) {
    tap_offsets = static_cast<int64_t*>(launch.workspace);
    const Axis axes[3] = {forward_axis(c, 0), forward_axis(c, 1), forward_axis(c, 2)};
    fill_tap_offsets(frame, axes, in_channels, tap_offsets);
    const int64_t jobs = c.groups * pieces;
    char* const scratch = static_cast<char*>(launch.workspace) + bytes<int64_t>(terms);
    parallel_for(launch, workers, 1, [&](int64_t worker, int64_t) {
      for (int64_t job = jobs * worker / workers; job < jobs * (worker + 1) / workers; ++job)
        run_job(job / pieces, job % pieces * rows, scratch + size_t(worker) * worker_bytes());
    });
  }

 private:
  struct Job {
    int64_t group, first, count;  // terms [first, first + count)
    T *copy, *sums;
    int64_t *x_at, *y_at;
    T* sum(int64_t k, int64_t channels) const { return sums + k * channels * width; }
  };

  void run_job(int64_t group, int64_t first, char* scratch) {
    Job job{group, first, smaller(rows, terms - first), nullptr, nullptr, nullptr, nullptr};
    if (job.count <= 0) return;
    job.copy = reinterpret_cast<T*>(scratch);
    job.sums = reinterpret_cast<T*>(scratch + bytes<T>(copy_size));
    job.x_at = reinterpret_cast<int64_t*>(scratch + bytes<T>(copy_size) + bytes<T>(sums_size));
    job.y_at = reinterpret_cast<int64_t*>(scratch + bytes<T>(copy_size) + bytes<T>(sums_size) + bytes<int64_t>(vectors));
    __builtin_memset(job.sums, 0, size_t(sums_size) * sizeof(T));
    for (int64_t n = 0; n < cuts[0]; ++n)
      for (int64_t z = 0; z < cuts[1]; ++z)
        for (int64_t p = 0; p < cuts[2]; ++p) {
          Box box = chunk;
          box.n = n * chunk.images, box.at[0] = z * chunk.count[0], box.at[1] = p * chunk.count[1];
          box.images = smaller(chunk.images, y.batch - box.n);
          for (int d = 0; d < 2; ++d) box.count[d] = smaller(chunk.count[d], y.size[d] - box.at[d]);
          if (box.images > 0 && box.count[0] > 0 && box.count[1] > 0) add_chunk(job, box);
        }
    for (int64_t k = 0; k < job.count; ++k)
      for (int64_t o = 0; o < out_channels; ++o)
        static_cast<T*>(c.weight)[(group * out_channels + o) * terms + first + k] =
            reduce_add(Vec<T>::load(job.sum(k, out_channels) + o * width));
  }

  // Registers of pixels from column q on, one a line (or as many as the line holds), behind those listed already.
  int64_t list(const Job& job, const Box& box, int64_t q0, int64_t q1, int64_t at) const {
    for (int64_t n = 0; n < box.images; ++n)
      for (int64_t z = 0; z < box.count[0]; ++z)
        for (int64_t p = 0; p < box.count[1]; ++p)
          for (int64_t q = q0; q < q1; q += width, ++at) {
            job.x_at[at] = n * frame.image + z * frame.step[0] * frame.plane + p * frame.step[1] * frame.row + q;
            job.y_at[at] = (box.n + n) * y.batch_stride + (box.at[0] + z) * y.stride[0] + (box.at[1] + p) * y.stride[1] + q;
          }
    return at;
  }

  void add_chunk(const Job& job, const Box& box) {
    const int64_t first_channel = job.first / taps, last_channel = (job.first + job.count - 1) / taps;
    copy_frame(frame, x, box, job.group * in_channels + first_channel, last_channel + 1 - first_channel, job.copy);
    const int64_t whole_pixels = y.size[2] / width * width;
    const int64_t whole = list(job, box, 0, whole_pixels, 0), all = list(job, box, whole_pixels, y.size[2], whole);

    SlideSum<T> s;
    s.y = static_cast<const T*>(y.data) + job.group * out_channels * y.channel_stride;
    s.y_stride = y.channel_stride;
    s.pixels = y.size[2] - whole_pixels;
    T unused[mr * width];
    __builtin_memset(unused, 0, sizeof unused);
    for (int64_t k = 0; k < job.count; k += slide_terms) {
      for (int64_t i = 0; i < slide_terms; ++i) {
        const bool exists = k + i < job.count;
        s.x[i] = job.copy - first_channel * frame.channel + tap_offsets[job.first + (exists ? k + i : k)];
        s.sums[i] = exists ? job.sum(k + i, out_channels) : unused;
      }
      for (int64_t v = 0; v < all; v += s.count) {
        s.x_at = job.x_at + v, s.y_at = job.y_at + v;
        s.count = smaller(kc, (v < whole ? whole : all) - v);
        if (v < whole) slide_sum<T, true>(s, out_channels);
        else slide_sum<T, false>(s, out_channels);
      }
    }
  }
};

}  // namespace tg::TG_ISA
