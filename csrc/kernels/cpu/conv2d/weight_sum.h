// The gradient for the weight: dw[o, k] = sum over images and pixels of dy[n, o, pixel] x[n, pixel + offset[k]], where k stands
// for an input channel and a tap.
//
//                    pixels                       o
//            +-------------------+           +---------+
//       K    | x[offset[k] + m]  |   x       | dy      | pixels    rows: channels and taps; lanes: output channels;
//            +-------------------+           +---------+           summed: the pixels of a chunk, then the next chunk's
//
// A chunk is a fixed part of the batch: about 512 pixels (256 with AVX2), several images or some lines of one. Its sum is one chain of FMAs (two
// or more where lines are longer), added to the chunks' before it. Chunks follow from the shape alone. Threads divide rows and
// lanes, never pixels, so the bits do not depend on their number.
#pragma once
#include "core/parallel.h"
#include "kernels/cpu/conv2d/axis.h"
#include "kernels/cpu/conv2d/gather.h"

namespace tg::TG_ISA {

template <class T> struct WeightSum {
  static constexpr int width = Vec<T>::width;
  static constexpr int64_t line = 64 / int64_t(sizeof(T));

  // The columns of a tile's panel stay in a first-level cache, where registers are narrow enough for that.
  static constexpr int64_t chunk_pixels = sizeof(Vec<T>) < 64 ? kc / 2 : kc;

  const Conv3d& c;
  const Volumes &x, &y;
  int64_t in_channels, out_channels, taps, terms;  // of a group; terms = in_channels * taps
  Frame frame;
  Box chunk;
  int64_t cuts[3];  // chunks along images, planes, lines
  // A job is one group's rows [row, row + rows) and registers [lane, lane + lanes).
  int64_t registers, row_pieces, lane_pieces, rows, lanes, workers;
  int64_t taps_size, copy_size, columns_size, pixels_size, sums_size;  // of the workspace
  int64_t* tap_offsets;

  WeightSum(const Conv3d& conv, int threads) : c(conv), x(conv.x), y(conv.y) {
    in_channels = x.channels / c.groups, out_channels = y.channels / c.groups;
    taps = c.kernel[0] * c.kernel[1] * c.kernel[2];
    terms = in_channels * taps;
    registers = ceil_div(out_channels, width);
    bool leaves = false;
    for (int d = 0; d < 3; ++d) {
      const Axis a = forward_axis(c, d);
      frame.step[d] = a.step, frame.low[d] = a.low(), frame.high[d] = a.high();
      leaves = leaves || frame.leaves(d, y.size[d], x.size[d]);
    }
    choose_chunk();
    if (leaves) frame.read_copy(chunk.count, 1, in_channels, line);
    else frame.read_in_place(x);
    divide(threads);
  }

  static int64_t part(int64_t total, int64_t largest) {
    return ceil_div(total, ceil_div(total, larger(1, smaller(largest, total))));
  }
  void choose_chunk() {
    chunk.count[2] = y.size[2];
    chunk.count[1] = part(y.size[1], chunk_pixels / y.size[2]);
    const int64_t plane = y.size[1] * y.size[2];
    chunk.count[0] = plane <= chunk_pixels ? part(y.size[0], chunk_pixels / plane) : 1;
    const int64_t image = plane * y.size[0];
    chunk.images = image <= chunk_pixels ? part(y.batch, chunk_pixels / image) : 1;
    cuts[0] = ceil_div(y.batch, chunk.images);
    for (int d = 0; d < 2; ++d) cuts[d + 1] = ceil_div(y.size[d], chunk.count[d]);
  }
  int64_t pixels() const { return chunk.images * chunk.count[0] * chunk.count[1] * chunk.count[2]; }

  // The cheapest way to cut rows and lanes: a piece costs its products, and copies of its part of x and of dy.
  void divide(int threads) {
    const double operations = 2.0 * double(c.groups) * double(terms) * double(out_channels) * double(y.batch) *
                              double(y.size[0] * y.size[1] * y.size[2]);
    workers = workers_for(operations, threads);
    const int64_t tiles = ceil_div(terms, mr), pieces = c.groups >= 4 * workers ? 1 : workers;
    row_pieces = lane_pieces = 1;
    double cheapest = 0;
    for (int64_t r = 1; r <= pieces; ++r) {
      if (pieces % r) continue;
      const double tile_count = double(ceil_div(tiles, r)), lane_count = double(ceil_div(registers, pieces / r));
      const double cost = tile_count * mr * lane_count + 8 * lane_count + 8 * tile_count * mr / double(taps);
      if (cheapest == 0 || cost < cheapest) cheapest = cost, row_pieces = r, lane_pieces = pieces / r;
    }
    rows = ceil_div(tiles, row_pieces) * mr;
    lanes = ceil_div(registers, lane_pieces);
    workers = smaller(workers, c.groups * row_pieces * lane_pieces);
    taps_size = round_up(terms, mr);
    copy_size = frame.copied ? chunk.images * frame.image : 0;
    columns_size = pixels() * lanes * width;
    pixels_size = pixels();
    sums_size = (rows + width) * lanes * width;
  }

  template <class E> static size_t bytes(int64_t count) { return size_t(round_up(count * int64_t(sizeof(E)), 64)); }
  size_t worker_bytes() const {
    return bytes<T>(copy_size) + bytes<T>(columns_size) + bytes<T>(sums_size) + bytes<int64_t>(pixels_size);
  }
  size_t workspace() const { return bytes<int64_t>(taps_size) + size_t(workers) * worker_bytes(); }

  void run(const Launch& launch) {
    tap_offsets = static_cast<int64_t*>(launch.workspace);
    const Axis axes[3] = {forward_axis(c, 0), forward_axis(c, 1), forward_axis(c, 2)};
    fill_tap_offsets(frame, axes, in_channels, tap_offsets);
    for (int64_t k = terms; k < taps_size; ++k) tap_offsets[k] = tap_offsets[terms - 1];
    const int64_t jobs = c.groups * row_pieces * lane_pieces;
    char* const scratch = static_cast<char*>(launch.workspace) + bytes<int64_t>(taps_size);
    parallel_for(launch, workers, 1, [&](int64_t worker, int64_t) {
      for (int64_t job = jobs * worker / workers; job < jobs * (worker + 1) / workers; ++job)
        run_job(job, scratch + size_t(worker) * worker_bytes());
    });
  }

 private:
  struct Job {
    int64_t group, row, rows, lane, lanes;  // lanes in registers
    T *copy, *columns, *sums;
    int64_t* pixels;
    int64_t first_channel, channels;  // of x that the rows touch
  };

  void run_job(int64_t number, char* scratch) {
    Job job;
    job.lane = number % lane_pieces * lanes, number /= lane_pieces;
    job.row = number % row_pieces * rows;
    job.group = number / row_pieces;
    job.rows = smaller(rows, terms - job.row);
    job.lanes = smaller(lanes, registers - job.lane);
    if (job.rows <= 0 || job.lanes <= 0) return;
    job.copy = reinterpret_cast<T*>(scratch);
    job.columns = reinterpret_cast<T*>(scratch + bytes<T>(copy_size));
    job.sums = reinterpret_cast<T*>(scratch + bytes<T>(copy_size) + bytes<T>(columns_size));
    job.pixels = reinterpret_cast<int64_t*>(scratch + bytes<T>(copy_size) + bytes<T>(columns_size) + bytes<T>(sums_size));
    job.first_channel = job.row / taps;
    job.channels = (job.row + job.rows - 1) / taps + 1 - job.first_channel;

    bool first = true;
    for (int64_t n = 0; n < cuts[0]; ++n)
      for (int64_t z = 0; z < cuts[1]; ++z)
        for (int64_t p = 0; p < cuts[2]; ++p, first = false) {
          Box box = chunk;
          box.n = n * chunk.images, box.at[0] = z * chunk.count[0], box.at[1] = p * chunk.count[1];
          box.images = smaller(chunk.images, y.batch - box.n);
          for (int d = 0; d < 2; ++d) box.count[d] = smaller(chunk.count[d], y.size[d] - box.at[d]);
          if (box.images > 0 && box.count[0] > 0 && box.count[1] > 0) add_chunk(job, box, first);
        }
    const int64_t o = job.lane * width;
    T* const dw = static_cast<T*>(c.weight) + (job.group * out_channels + o) * terms + job.row;
    store_turned<T>({job.sums, job.lanes * width, job.rows, smaller(job.lanes * width, out_channels - o), dw, terms, 1}, {});
  }

  // dy of the chunk with the output channels side by side, panel after panel: (pixels, lanes of the panel).
  void turn_columns(const Job& job, const Box& box, int64_t count) {
    const bool joined = y.stride[1] == y.size[2];
    const int64_t run = joined ? box.count[1] * box.count[2] : box.count[2];
    for (int64_t r = 0; r < job.lanes; r += nr_vectors) {
      const int64_t ld = smaller(nr_vectors, job.lanes - r) * width, o = (job.lane + r) * width;
      T* to = job.columns + r * width * count;
      for (int64_t n = 0; n < box.images; ++n)
        for (int64_t z = 0; z < box.count[0]; ++z)
          for (int64_t p = 0; p < (joined ? 1 : box.count[1]); ++p, to += run * ld) {
            const T* const from = static_cast<const T*>(y.data) + (box.n + n) * y.batch_stride +
                                  (job.group * out_channels + o) * y.channel_stride + (box.at[0] + z) * y.stride[0] +
                                  (box.at[1] + p) * y.stride[1];
            pack_turned(from, y.channel_stride, run, smaller(ld, out_channels - o), to, ld);
          }
    }
  }

  void add_chunk(const Job& job, const Box& box, bool first) {
    const int64_t channel = job.group * in_channels + job.first_channel;
    if (frame.copied) copy_frame(frame, x, box, channel, job.channels, job.copy);
    const T* const data = frame.copied ? job.copy : frame_begin<T>(frame, x, box, channel);
    const int64_t count = fill_pixel_offsets(frame, box, 1, job.pixels);
    turn_columns(job, box, count);
    GatherTile<T> t;
    t.data = data - job.first_channel * frame.channel;  // the table counts from the group's first channel
    t.sums_stride = job.lanes * width;
    for (int64_t m = 0; m < count; m += t.depth) {
      t.depth = smaller(kc, count - m);
      t.offset = job.pixels + m;
      t.add = !first || m > 0;
      for (int64_t r = 0; r < job.lanes; r += nr_vectors) {
        const int64_t vectors = smaller(nr_vectors, job.lanes - r);
        t.lanes = job.columns + r * width * count + m * vectors * width;
        for (int64_t k = 0; k < job.rows; k += mr) {
          t.row = tap_offsets + job.row + k;
          t.sums = job.sums + k * t.sums_stride + r * width;
          gather(t, vectors);
        }
      }
    }
  }
};

}  // namespace tg::TG_ISA
