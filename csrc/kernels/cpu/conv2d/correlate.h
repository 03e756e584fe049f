// y from x, or the gradient for x from y: both are sums over input channels and taps, output pixel by output pixel.
//
//            K = input channels x taps                 A job is a box of output lines (or several images) of one group:
//          +--------------------------+
//   pixels | x[pixel + offset[k]]     |                  copy of its inputs with zeros around (if a window leaves x)
//   of a   |   for k in blocks of 512 | x  packed w      sums (pixels, output channels) += block of K, tile after tile
//   job    +--------------------------+   (K, out)       turned into (output channels, pixels), bias, activation, stored
//
// Inputs, sums and a panel of packed weights stay in the second-level cache. With few output channels the lanes of a register
// run along the pixels of a line instead (slide_tile); sums are then stored without being turned.
//
// Every output is one sum over K in blocks of 512 terms, whatever the jobs are: how many there are may depend on the threads.
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/conv2d/axis.h"
#include "kernels/cpu/conv2d/gather.h"

namespace tg::TG_ISA {

// Inputs and sums of a job: less than half of a common second-level cache. A group's weights are read once a job: where they are
// larger than that cache, jobs are, too.
#if defined(TG_ISA_avx512) || defined(TG_ISA_avx512_bf16)
inline constexpr int64_t job_bytes = 384 << 10, large_job_bytes = 2 << 20;
#else
inline constexpr int64_t job_bytes = 192 << 10, large_job_bytes = 1 << 20;
#endif
inline constexpr int64_t job_pixels = 1024;  // enough that packed weights are used often

template <class T> struct Correlation {
  static constexpr int width = Vec<T>::width;
  static constexpr int64_t line = 64 / int64_t(sizeof(T));  // elements of a line of the cache

  const Conv3d& c;
  const bool forward;
  const Volumes &in, &out;
  int64_t in_channels, out_channels;                  // of a group
  int64_t taps, weight_group, weight_in, weight_out;  // strides of the weight
  int64_t phases[3], outputs[3];                      // outputs of a phase, at most
  Frame frame;
  bool slides;                                    // lanes are pixels
  int64_t registers, panel_registers, tile_rows;  // output channels in registers, or in rows of a tile
  Box box;                                        // the size of a job
  int64_t cuts[4];                                // jobs along images, planes, lines, groups
  int64_t workers;
  // the workspace
  int64_t weights_size, taps_size, copy_size, sums_size, pixels_size;  // elements
  T* weights;
  int64_t* tap_offsets;
  char* scratch;

  Correlation(const Conv3d& conv, bool is_forward, int threads)
      : c(conv), forward(is_forward), in(is_forward ? conv.x : conv.y), out(is_forward ? conv.y : conv.x) {
    in_channels = in.channels / c.groups, out_channels = out.channels / c.groups;
    taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    weight_group = in_channels * out_channels * taps;
    weight_in = forward ? taps : out_channels * taps, weight_out = forward ? in_channels * taps : taps;
    for (int d = 0; d < 3; ++d) {
      phases[d] = forward ? 1 : smaller(c.stride[d], out.size[d]);
      outputs[d] = forward ? out.size[d] : ceil_div(out.size[d], c.stride[d]);
      frame.step[d] = forward ? c.stride[d] : 1;
      bool any = false;
      frame.low[d] = frame.high[d] = 0;
      for (int64_t phase = 0; phase < phases[d]; ++phase) {
        const Axis a = axis(d, phase);
        if (a.taps == 0) continue;
        frame.low[d] = any ? smaller(frame.low[d], a.low()) : a.low();
        frame.high[d] = any ? larger(frame.high[d], a.high()) : a.high();
        any = true;
      }
    }
    registers = ceil_div(out_channels, width);
    panel_registers = balanced_part(registers, nr_vectors);
    tile_rows = balanced_part(out_channels, mr);
    // Lanes that do nothing: at the end of the channels, or at the end of every line.
    slides = out_channels * round_up(outputs[2], width) < outputs[2] * registers * width;
    bool leaves = false;
    for (int d = 0; d < 3; ++d) leaves = leaves || frame.leaves(d, outputs[d], in.size[d]);
    if (slides || leaves) frame.read_copy(outputs, slides ? frame.step[2] : 1, in_channels, line);
    else frame.read_in_place(in);
    choose_box(threads);
  }

  Axis axis(int d, int64_t phase) const { return forward ? forward_axis(c, d) : backward_axis(c, d, phase); }
  int64_t packed_channels() const { return slides ? out_channels : registers * width; }
  static int64_t balanced_part(int64_t total, int64_t largest) { return ceil_div(total, ceil_div(total, largest)); }

  int64_t frame_size(const Box& b) const {
    if (!frame.copied) return 0;
    Frame f = frame;
    f.read_copy(b.count, frame.columns, in_channels, line);
    return b.images * f.image;
  }
  int64_t pixels_of(const Box& b) const { return b.images * b.count[0] * b.count[1] * b.count[2]; }
  // What a job reads where it lies.
  int64_t input_size(const Box& b) const {
    if (frame.copied) return 0;
    int64_t size = b.images * in_channels;
    for (int d = 0; d < 3; ++d) size *= smaller(frame.extent(d, b.count[d]), in.size[d]);
    return size;
  }
  int64_t bytes_of(const Box& b) const {
    return (frame_size(b) + input_size(b) + (slides ? 0 : pixels_of(b) * registers * width)) * int64_t(sizeof(T));
  }
  bool fits(const Box& b) const {
    const int64_t half = weight_group * int64_t(sizeof(T)) / 2;
    return bytes_of(b) <= smaller(larger(half, job_bytes), large_job_bytes) && pixels_of(b) <= job_pixels;
  }

  // As many lines, then planes, then images as the cache holds, but enough jobs for all threads.
  void choose_box(int threads) {
    box.count[2] = outputs[2];
    int64_t* const parts[3] = {&box.count[1], &box.count[0], &box.images};
    const int64_t all[3] = {outputs[1], outputs[0], in.batch};
    for (int i = 0; i < 3; ++i) {
      while (*parts[i] < all[i]) {
        ++*parts[i];
        if (fits(box)) continue;
        --*parts[i];
        break;
      }
      *parts[i] = balanced_part(all[i], *parts[i]);
      if (*parts[i] < all[i]) break;
    }
    auto count = [&](int i) { return ceil_div(all[i], *parts[i]); };
    const double operations =
        2.0 * double(in.batch) * double(c.groups) * double(weight_group) * double(forward ? spatial(out) : spatial(in));
    workers = workers_for(operations, threads);
    for (int i = 2; i >= 0 && workers > 1; --i)
      while (count(0) * count(1) * count(2) * c.groups < 4 * workers && *parts[i] > 1 && pixels_of(box) > 4 * mr)
        *parts[i] = balanced_part(all[i], ceil_div(*parts[i], 2));
    for (int i = 0; i < 3; ++i) cuts[i] = count(2 - i);
    cuts[3] = c.groups;
    workers = smaller(workers, jobs());

    if (frame.copied) frame.read_copy(box.count, frame.columns, in_channels, line);
    weights_size = c.groups * in_channels * taps * packed_channels();
    taps_size = in_channels * taps;
    copy_size = frame_size(box) + (slides ? nr_vectors * width : 0);
    sums_size = slides ? 0 : (round_up(pixels_of(box), mr) + width) * registers * width;
    pixels_size = slides ? 0 : round_up(pixels_of(box), mr);
  }
  static int64_t spatial(const Volumes& v) { return v.size[0] * v.size[1] * v.size[2]; }
  int64_t jobs() const { return cuts[0] * cuts[1] * cuts[2] * cuts[3]; }

  template <class E> static size_t bytes(int64_t count) { return size_t(round_up(count * int64_t(sizeof(E)), 64)); }
  size_t shared_bytes() const { return bytes<T>(weights_size) + bytes<int64_t>(taps_size); }
  size_t worker_bytes() const { return bytes<T>(copy_size) + bytes<T>(sums_size) + bytes<int64_t>(pixels_size); }
  size_t workspace() const { return shared_bytes() + size_t(workers) * worker_bytes(); }

  void run(const Launch& launch) {
    weights = static_cast<T*>(launch.workspace);
    tap_offsets = reinterpret_cast<int64_t*>(static_cast<char*>(launch.workspace) + bytes<T>(weights_size));
    scratch = static_cast<char*>(launch.workspace) + shared_bytes();
    for_each_phase(
        [&](const Axis(&axes)[3], int64_t, int64_t first) { fill_tap_offsets(frame, axes, in_channels, tap_offsets + first); });
    const int64_t panels = slides ? ceil_div(out_channels, tile_rows) : ceil_div(registers, panel_registers);
    Launch packing = launch;
    packing.threads = int(workers);
    parallel_for(packing, c.groups * panels, 1, [&](int64_t at, int64_t) { pack_panel(at / panels, at % panels); });
    parallel_for(packing, workers, 1, [&](int64_t worker, int64_t) {
      for (int64_t job = jobs() * worker / workers; job < jobs() * (worker + 1) / workers; ++job) run_job(job, worker);
    });
  }

 private:
  // body(axes, depth, terms of the phases before)
  template <class Body> void for_each_phase(const Body& body) const {
    int64_t first = 0;
    for (int64_t f0 = 0; f0 < phases[0]; ++f0)
      for (int64_t f1 = 0; f1 < phases[1]; ++f1)
        for (int64_t f2 = 0; f2 < phases[2]; ++f2) {
          const Axis axes[3] = {axis(0, f0), axis(1, f1), axis(2, f2)};
          const int64_t depth = in_channels * axes[0].taps * axes[1].taps * axes[2].taps;
          body(axes, depth, first);
          first += depth;
        }
  }

  // Packed weights: phase after phase, in each panel after panel, in each (depth, channels of the panel).
  T* packed(int64_t group, int64_t first_term) const {
    return weights + (group * in_channels * taps + first_term) * packed_channels();
  }

  [[gnu::noinline]] void pack_panel(int64_t group, int64_t panel) {
    const int64_t part = slides ? tile_rows : panel_registers * width, begin = panel * part;
    const int64_t channels = smaller(part, out_channels - begin),
                  ld = slides ? channels : smaller(part, registers * width - begin);
    const T* const from = static_cast<const T*>(c.weight) + group * weight_group + begin * weight_out;
    for_each_phase([&](const Axis(&axes)[3], int64_t depth, int64_t first) {
      T* to = packed(group, first) + begin * depth;
      if (forward && !slides) return pack_turned(from, weight_out, depth, channels, to, ld);
      for (int64_t a = 0; a < in_channels; ++a)
        for (int64_t t0 = 0; t0 < axes[0].taps; ++t0)
          for (int64_t t1 = 0; t1 < axes[1].taps; ++t1)
            for (int64_t t2 = 0; t2 < axes[2].taps; ++t2, to += ld) {
              auto at = [&](int d, int64_t t) { return axes[d].weight_first + t * axes[d].weight_spacing; };
              const T* const w = from + a * weight_in + (at(0, t0) * c.kernel[1] + at(1, t1)) * c.kernel[2] + at(2, t2);
              for (int64_t j = 0; j < ld; ++j) to[j] = j < channels ? w[j * weight_out] : T(0);
            }
    });
  }

  // The part of a job that belongs to one phase.
  struct Part {
    Box box;
    int64_t group, depth;
    const T *data, *weights;
    const int64_t* offsets;
    int64_t spacing[3];
    T* result;  // of the group's first channel and the box's first output
    Epilogue<T> epilogue;
    T* sums;
    int64_t* pixels;
    T* line_of(int64_t n, int64_t z, int64_t p, const Volumes& out) const {
      return result + n * out.batch_stride + z * spacing[0] * out.stride[0] + p * spacing[1] * out.stride[1];
    }
  };

  void run_job(int64_t job, int64_t worker) {
    Part part;
    part.group = job % cuts[3], job /= cuts[3];
    Box here = box;
    here.at[1] = job % cuts[2] * box.count[1], job /= cuts[2];
    here.at[0] = job % cuts[1] * box.count[0], job /= cuts[1];
    here.n = job * box.images;
    here.images = smaller(box.images, in.batch - here.n);
    for (int d = 0; d < 2; ++d) here.count[d] = smaller(box.count[d], outputs[d] - here.at[d]);
    if (here.images <= 0 || here.count[0] <= 0 || here.count[1] <= 0) return;

    char* const own = scratch + size_t(worker) * worker_bytes();
    T* const copy = reinterpret_cast<T*>(own);
    part.sums = reinterpret_cast<T*>(own + bytes<T>(copy_size));
    part.pixels = reinterpret_cast<int64_t*>(own + bytes<T>(copy_size) + bytes<T>(sums_size));
    if (frame.copied) copy_frame(frame, in, here, part.group * in_channels, in_channels, copy);
    part.data = frame.copied ? copy : frame_begin<T>(frame, in, here, part.group * in_channels);
    part.epilogue.bias = forward && c.bias ? static_cast<const T*>(c.bias) + part.group * out_channels : nullptr;
    part.epilogue.relu = forward && c.activation == Activation::relu;

    for_each_phase([&](const Axis(&axes)[3], int64_t depth, int64_t first) {
      part.box = here;
      part.depth = depth;
      part.weights = packed(part.group, first);
      part.offsets = tap_offsets + first;
      part.result = static_cast<T*>(out.data) + here.n * out.batch_stride + part.group * out_channels * out.channel_stride;
      for (int d = 0; d < 3; ++d) {
        part.box.count[d] = smaller(here.count[d], axes[d].out - here.at[d]);
        if (part.box.count[d] <= 0) return;
        part.spacing[d] = axes[d].result_spacing;
        part.result += (axes[d].result_first + here.at[d] * axes[d].result_spacing) * out.stride[d];
      }
      if (slides) slide_part(part);
      else gather_part(part);
    });
  }

  [[gnu::noinline]] void gather_part(const Part& part) {
    const int64_t pixels = fill_pixel_offsets(frame, part.box, mr, part.pixels), ld = registers * width;
    GatherTile<T> t;
    t.data = part.data;
    t.sums_stride = ld;
    int64_t k = 0;
    do {  // once even without terms: the sums are then zero
      t.depth = smaller(kc, part.depth - k);
      t.offset = part.offsets + k;
      t.add = k > 0;
      for (int64_t r = 0; r < registers; r += panel_registers) {
        const int64_t count = smaller(panel_registers, registers - r);
        t.lanes = part.weights + (r * part.depth + k * count) * width;
        for (int64_t m = 0; m < pixels; m += mr) {
          t.row = part.pixels + m;
          t.sums = part.sums + m * ld + r * width;
          gather(t, count);
        }
      }
      k += t.depth;
    } while (k < part.depth);

    // Lines that follow each other in the result are stored as one.
    const Box& b = part.box;
    const bool joined = part.spacing[1] == 1 && part.spacing[2] == 1 && out.stride[1] == b.count[2];
    const int64_t run = joined ? b.count[1] * b.count[2] : b.count[2];
    const T* sums = part.sums;
    for (int64_t n = 0; n < b.images; ++n)
      for (int64_t z = 0; z < b.count[0]; ++z)
        for (int64_t p = 0; p < (joined ? 1 : b.count[1]); ++p, sums += run * ld)
          store_turned<T>({sums, ld, run, out_channels, part.line_of(n, z, p, out), out.channel_stride, part.spacing[2]},
                          part.epilogue);
  }

  // nr_vectors registers of pixels at a time, from as many lines as that takes.
  [[gnu::noinline]] void slide_part(const Part& part) {
    const Box& b = part.box;
    const int64_t all = b.images * b.count[0] * b.count[1] * ceil_div(b.count[2], width);
    int64_t n = 0, z = 0, p = 0, q = 0;  // the next register's first pixel
    alignas(64) T sums[mr * nr_vectors * width];
    for (int64_t at = 0; at < all; at += nr_vectors) {
      const int64_t used = smaller(nr_vectors, all - at);
      T* to[nr_vectors];
      int64_t counts[nr_vectors];
      SlideTile<T> t;
      for (int64_t j = 0; j < nr_vectors; ++j) {
        if (j >= used) {
          t.pixels[j] = part.data;  // read, not stored
          continue;
        }
        t.pixels[j] = part.data + n * frame.image + z * frame.step[0] * frame.plane + p * frame.step[1] * frame.row + q;
        to[j] = part.line_of(n, z, p, out) + q * part.spacing[2];
        counts[j] = b.count[2] - q;
        q += width;
        if (q < b.count[2]) continue;
        q = 0;
        if (++p < b.count[1]) continue;
        p = 0;
        if (++z == b.count[0]) z = 0, ++n;
      }
      for (int64_t o = 0; o < out_channels; o += tile_rows) {
        const int64_t rows = smaller(tile_rows, out_channels - o);
        t.sums = sums;
        int64_t k = 0;
        do {
          t.depth = smaller(kc, part.depth - k);
          t.offset = part.offsets + k;
          t.weights = part.weights + o * part.depth + k * rows;
          t.add = k > 0;
          slide(t, rows);
          k += t.depth;
        } while (k < part.depth);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < used; ++j) {
            const Vec<T> x = part.epilogue(Vec<T>::load(sums + (i * nr_vectors + j) * width), o + i);
            store_spaced(x, to[j] + (o + i) * out.channel_stride, counts[j], part.spacing[2]);
          }
      }
    }
  }
};

}  // namespace tg::TG_ISA
