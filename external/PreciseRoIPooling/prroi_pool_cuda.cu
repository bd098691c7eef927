// CUDA kernels of precise RoI pooling: which thread computes what; the arithmetic is in
// prroi_pool.h. No atomics: every number is written by one thread and summed in a fixed order, so
// runs repeat bit for bit.
#include <algorithm>

#include "prroi_pool_cuda.h"

namespace prroi {
namespace {

constexpr int kThreads = 256;  // a power of two, for the reduction

// One thread per pooled value.
template <typename T>
__global__ void forward_kernel(const T* features, const T* boxes, T* output, Shape shape) {
  const int64_t total = shape.batch * shape.boxes * shape.channels * shape.bins();
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += step) {
    const int q = int(index % shape.bins_x);
    const int p = int(index / shape.bins_x % shape.bins_y);
    const int64_t channel = index / shape.bins() % shape.channels;
    const int64_t box_index = index / shape.bins() / shape.channels;  // of B * P
    const int64_t image = box_index / shape.boxes;
    const Box<T> box = read_box(boxes + box_index * 4, shape.scale);
    const T* map = features + (image * shape.channels + channel) * shape.map_size();
    output[index] = box.empty()
                        ? T(0)
                        : bin_mean(map, shape.height, shape.width, bin_of(box.y, p, shape.bins_y),
                                   bin_of(box.x, q, shape.bins_x));
  }
}

// One thread per cell and channel: it gathers from all boxes of its image.
template <typename T>
__global__ void backward_features_kernel(const T* grad, const T* boxes, T* grad_features,
                                         Shape shape) {
  const int64_t total = shape.batch * shape.channels * shape.map_size();
  const int64_t step = int64_t(gridDim.x) * kThreads;
  for (int64_t index = int64_t(blockIdx.x) * kThreads + threadIdx.x; index < total; index += step) {
    const int column = int(index % shape.width);
    const int row = int(index / shape.width % shape.height);
    const int64_t channel = index / shape.map_size() % shape.channels;
    const int64_t image = index / shape.map_size() / shape.channels;
    T sum = 0;
    for (int64_t box_index = image * shape.boxes; box_index < (image + 1) * shape.boxes;
         ++box_index) {
      const Box<T> box = read_box(boxes + box_index * 4, shape.scale);
      if (box.empty()) continue;
      const T* box_grad = grad + (box_index * shape.channels + channel) * shape.bins();
      sum += cell_gradient(box_grad, box, shape, row, column);
    }
    grad_features[index] = sum;
  }
}

// One block per box: its threads share the channels and bins, then add up in a tree.
template <typename T>
__global__ void backward_boxes_kernel(const T* grad, const T* features, const T* output,
                                      const T* boxes, T* grad_boxes, Shape shape) {
  __shared__ T sums[4][kThreads];  // x1, y1, x2, y2
  const int thread = threadIdx.x;
  for (int64_t box_index = blockIdx.x; box_index < shape.batch * shape.boxes;
       box_index += gridDim.x) {
    const Box<T> box = read_box(boxes + box_index * 4, shape.scale);
    const T* image = features + box_index / shape.boxes * shape.channels * shape.map_size();
    const int64_t values = shape.channels * shape.bins();
    T sum[4] = {0, 0, 0, 0};
    for (int64_t value = box.empty() ? values : thread; value < values; value += kThreads) {
      const T* map = image + value / shape.bins() * shape.map_size();
      const int p = int(value / shape.bins_x % shape.bins_y), q = int(value % shape.bins_x);
      const T weight = grad[box_index * values + value];
      const Box<T> slope = box_gradient(map, box, shape, p, q, output[box_index * values + value]);
      sum[0] += weight * slope.x.low;
      sum[1] += weight * slope.y.low;
      sum[2] += weight * slope.x.high;
      sum[3] += weight * slope.y.high;
    }
    for (int k = 0; k < 4; ++k) sums[k][thread] = sum[k];
    __syncthreads();
    for (int half = kThreads / 2; half > 0; half /= 2) {
      if (thread < half)
        for (int k = 0; k < 4; ++k) sums[k][thread] += sums[k][thread + half];
      __syncthreads();
    }
    if (thread < 4) grad_boxes[box_index * 4 + thread] = sums[thread][0] * T(shape.scale);
    __syncthreads();  // before the next box overwrites the sums
  }
}

// Blocks for `work` items of one block each; the kernels step over what is beyond the grid's limit.
int blocks_for(int64_t work) { return int(std::min<int64_t>(work, 1 << 20)); }

int blocks_for_threads(int64_t work) { return blocks_for((work + kThreads - 1) / kThreads); }

}  // namespace

template <typename T>
void CudaBackend<T>::forward(const T* features, const T* boxes, T* output,
                             const Shape& shape) const {
  const int blocks = blocks_for_threads(shape.batch * shape.boxes * shape.channels * shape.bins());
  forward_kernel<T><<<blocks, kThreads, 0, stream>>>(features, boxes, output, shape);
}

template <typename T>
void CudaBackend<T>::backward_features(const T* grad, const T* boxes, T* grad_features,
                                       const Shape& shape) const {
  const int blocks = blocks_for_threads(shape.batch * shape.channels * shape.map_size());
  backward_features_kernel<T><<<blocks, kThreads, 0, stream>>>(grad, boxes, grad_features, shape);
}

template <typename T>
void CudaBackend<T>::backward_boxes(const T* grad, const T* features, const T* output,
                                    const T* boxes, T* grad_boxes, const Shape& shape) const {
  const int blocks = blocks_for(shape.batch * shape.boxes);
  backward_boxes_kernel<T>
      <<<blocks, kThreads, 0, stream>>>(grad, features, output, boxes, grad_boxes, shape);
}

template struct CudaBackend<float>;
template struct CudaBackend<double>;

}  // namespace prroi
