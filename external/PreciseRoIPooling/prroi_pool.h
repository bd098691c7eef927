// Precise RoI pooling, the arithmetic: what one thread computes, for the CPU and for the GPU alike.
// Source: IoU-Net (Jiang et al. 2018), section 3.3. prroi_pool_cuda.cu and prroi_pool_ops.cpp loop
// over it.
//
// The interpolant is f(y, x) = sum_ij F[i, j] tent(y - i) tent(x - j), so it is 0 beyond one cell
// outside the map. The pooled value is its mean over a bin: it factorises into the means of the
// tents along either axis. Coordinates are in cells (the box times spatial_scale); cell i lies at
// coordinate i.
#pragma once

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define PRROI_INLINE __host__ __device__ inline
#else
#define PRROI_INLINE inline
#endif

namespace prroi {

// Sizes of one call; every array is contiguous.
struct Shape {
  int64_t batch;     // B
  int64_t boxes;     // P, boxes of each image
  int64_t channels;  // C
  int height;        // H, of the feature map
  int width;         // W
  int bins_y;        // rows of bins in a box
  int bins_x;        // columns of bins in a box
  double scale;      // box units -> cells

  PRROI_INLINE int64_t map_size() const { return int64_t(height) * width; }
  PRROI_INLINE int64_t bins() const { return int64_t(bins_y) * bins_x; }
};

// An interval on one axis, in cells.
template <typename T>
struct Span {
  T low, high;
};

// Cells of the map along one axis, and the distance in memory between neighbours.
struct Axis {
  int cells;
  int64_t stride;
};

template <typename T>
struct Box {
  Span<T> x, y;

  // NaN counts as empty, as it does in the closed form.
  PRROI_INLINE bool empty() const { return !(x.high > x.low && y.high > y.low); }
};

// xyxy: four numbers in box units.
template <typename T>
PRROI_INLINE Box<T> read_box(const T* xyxy, double scale) {
  const T s = T(scale);
  return {{xyxy[0] * s, xyxy[2] * s}, {xyxy[1] * s, xyxy[3] * s}};
}

// Bin `index` of `bins` equal ones. Neighbouring bins share the same number as their edge.
template <typename T>
PRROI_INLINE Span<T> bin_of(Span<T> side, int index, int bins) {
  const T size = side.high - side.low;
  return {side.low + size * (T(index) / T(bins)), side.low + size * (T(index + 1) / T(bins))};
}

// First and last cell whose tent reaches into the span; the cast is safe for every value, NaN too.
template <typename T>
PRROI_INLINE int first_cell(Span<T> span, int cells) {
  return int(std::fmin(std::fmax(std::floor(span.low), T(0)), T(cells)));
}

template <typename T>
PRROI_INLINE int last_cell(Span<T> span, int cells) {
  return int(std::fmax(std::fmin(std::ceil(span.high), T(cells - 1)), T(-1)));
}

template <typename T>
PRROI_INLINE T tent(T distance) {
  return std::fmax(T(0), T(1) - std::fabs(distance));
}

// Mean over the span of the tent of `cell`. Each straight half of the tent is integrated by its
// middle value, which keeps its digits for thin spans; a difference of primitives would not. A span
// thinner than the number format can tell gives the value at that place.
template <typename T>
PRROI_INLINE T tent_mean(Span<T> span, int cell) {
  const T low = span.low - T(cell);
  const T high = span.high - T(cell);
  if (high <= low) return tent(low);
  const T rise_low = std::fmax(low, T(-1)), rise_high = std::fmin(high, T(0));
  const T fall_low = std::fmax(low, T(0)), fall_high = std::fmin(high, T(1));
  T integral = 0;
  if (rise_high > rise_low) integral += (rise_high - rise_low) * (1 + (rise_low + rise_high) / 2);
  if (fall_high > fall_low) integral += (fall_high - fall_low) * (1 - (fall_low + fall_high) / 2);
  return integral / (high - low);
}

// Mean of the interpolant over a bin. map: (H, W) of one channel.
template <typename T>
PRROI_INLINE T bin_mean(const T* map, int height, int width, Span<T> y, Span<T> x) {
  const int first_x = first_cell(x, width), last_x = last_cell(x, width);
  T sum = 0;
  for (int i = first_cell(y, height); i <= last_cell(y, height); ++i) {
    T row = 0;
    for (int j = first_x; j <= last_x; ++j) row += tent_mean(x, j) * map[int64_t(i) * width + j];
    sum += tent_mean(y, i) * row;
  }
  return sum;
}

// Mean of the interpolant over a line: `span` along one axis, at the coordinate `at` of the other.
template <typename T>
PRROI_INLINE T line_mean(const T* map, Axis along, Span<T> span, Axis across, T at) {
  const Span<T> point{at, at};
  const int first = first_cell(point, across.cells), last = last_cell(point, across.cells);
  T sum = 0;
  for (int i = first_cell(span, along.cells); i <= last_cell(span, along.cells); ++i) {
    T value = 0;
    for (int j = first; j <= last; ++j)
      value += tent(at - T(j)) * map[i * along.stride + j * across.stride];
    sum += tent_mean(span, i) * value;
  }
  return sum;
}

// Gradient of one cell from all bins of one box. grad: (bins_y, bins_x) of the cell's channel.
template <typename T>
PRROI_INLINE T cell_gradient(const T* grad, const Box<T>& box, const Shape& shape, int row,
                             int column) {
  T sum = 0;
  for (int p = 0; p < shape.bins_y; ++p) {
    const T weight_y = tent_mean(bin_of(box.y, p, shape.bins_y), row);
    if (weight_y == 0) continue;
    T line = 0;
    for (int q = 0; q < shape.bins_x; ++q)
      line +=
          tent_mean(bin_of(box.x, q, shape.bins_x), column) * grad[int64_t(p) * shape.bins_x + q];
    sum += weight_y * line;
  }
  return sum;
}

// Gradient of a bin's mean to the two ends of the box's side, in cells. The mean moves with the
// value at the bin's two edges: d mean / d low = (mean - value_low) / size, d mean / d high =
// (value_high - mean) / size.
template <typename T>
PRROI_INLINE Span<T> side_gradient(Span<T> bin, int index, int bins, T mean, T value_low,
                                   T value_high) {
  const T size = bin.high - bin.low;
  if (size <= 0) return {0, 0};  // thinner than the number format can tell
  const T at_low = (mean - value_low) / size;
  const T at_high = (value_high - mean) / size;
  const T low_share = T(index) / T(bins), high_share = T(index + 1) / T(bins);
  return {at_low * (1 - low_share) + at_high * (1 - high_share),
          at_low * low_share + at_high * high_share};
}

// Gradient of one pooled value to its box, in cells. map: (H, W) of its channel; mean: the pooled
// value.
template <typename T>
PRROI_INLINE Box<T> box_gradient(const T* map, const Box<T>& box, const Shape& shape, int p, int q,
                                 T mean) {
  const Axis rows{shape.height, shape.width}, columns{shape.width, 1};
  const Span<T> y = bin_of(box.y, p, shape.bins_y), x = bin_of(box.x, q, shape.bins_x);
  const T left = line_mean(map, rows, y, columns, x.low),
          right = line_mean(map, rows, y, columns, x.high);
  const T top = line_mean(map, columns, x, rows, y.low),
          bottom = line_mean(map, columns, x, rows, y.high);
  return {side_gradient(x, q, shape.bins_x, mean, left, right),
          side_gradient(y, p, shape.bins_y, mean, top, bottom)};
}

}  // namespace prroi
