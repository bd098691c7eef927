// Launchers of the CUDA kernels, by plain pointers: nvcc then reads no torch header, and the host
// compiler no kernel. T is float or double. Arrays are contiguous, on the current device; shapes as
// in prroi_pool_ops.cpp.
#pragma once

#include <cuda_runtime_api.h>

#include "prroi_pool.h"

namespace prroi {

template <typename T>
struct CudaBackend {
  cudaStream_t stream;

  // output: (B, P, C, bins_y, bins_x)
  void forward(const T* features, const T* boxes, T* output, const Shape& shape) const;

  // grad_features: (B, C, H, W)
  void backward_features(const T* grad, const T* boxes, T* grad_features, const Shape& shape) const;

  // grad_boxes: (B, P, 4), to the boxes before scaling
  void backward_boxes(const T* grad, const T* features, const T* output, const T* boxes,
                      T* grad_boxes, const Shape& shape) const;
};

}  // namespace prroi
