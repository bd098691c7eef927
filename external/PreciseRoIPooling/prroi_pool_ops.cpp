// Precise RoI pooling as PyTorch operators of the namespace `aiatrack`: schemas, checks and the CPU
// loops. Compiled with PRROI_WITH_CUDA it registers the kernels of prroi_pool_cuda.cu as well;
// without, the CPU's alone. Autograd and shape inference are wired in prroi_pool_extension.py.
//
// B images, C channels, H x W cells, P boxes of each image, h x w bins. Float32 or float64.
#include <ATen/Dispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "prroi_pool.h"

#ifdef PRROI_WITH_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "prroi_pool_cuda.h"
#endif

namespace prroi {
namespace {

using at::Tensor;

// The same three functions as CudaBackend, in loops.
template <typename T>
struct CpuBackend {
  void forward(const T* features, const T* boxes, T* output, const Shape& shape) const {
    for (int64_t box_index = 0; box_index < shape.batch * shape.boxes; ++box_index) {
      const Box<T> box = read_box(boxes + box_index * 4, shape.scale);
      const T* map = features + box_index / shape.boxes * shape.channels * shape.map_size();
      for (int64_t channel = 0; channel < shape.channels; ++channel, map += shape.map_size())
        for (int p = 0; p < shape.bins_y; ++p)
          for (int q = 0; q < shape.bins_x; ++q)
            *output++ = box.empty() ? T(0)
                                    : bin_mean(map, shape.height, shape.width,
                                               bin_of(box.y, p, shape.bins_y),
                                               bin_of(box.x, q, shape.bins_x));
    }
  }

  void backward_features(const T* grad, const T* boxes, T* grad_features,
                         const Shape& shape) const {
    std::fill_n(grad_features, shape.batch * shape.channels * shape.map_size(), T(0));
    for (int64_t box_index = 0; box_index < shape.batch * shape.boxes; ++box_index) {
      const Box<T> box = read_box(boxes + box_index * 4, shape.scale);
      if (box.empty()) continue;
      T* cell = grad_features + box_index / shape.boxes * shape.channels * shape.map_size();
      for (int64_t channel = 0; channel < shape.channels; ++channel) {
        const T* box_grad = grad + (box_index * shape.channels + channel) * shape.bins();
        for (int row = 0; row < shape.height; ++row)
          for (int column = 0; column < shape.width; ++column)
            *cell++ += cell_gradient(box_grad, box, shape, row, column);
      }
    }
  }

  void backward_boxes(const T* grad, const T* features, const T* output, const T* boxes,
                      T* grad_boxes, const Shape& shape) const {
    const int64_t values = shape.channels * shape.bins();
    for (int64_t box_index = 0; box_index < shape.batch * shape.boxes; ++box_index) {
      const Box<T> box = read_box(boxes + box_index * 4, shape.scale);
      const T* image = features + box_index / shape.boxes * shape.channels * shape.map_size();
      T sum[4] = {0, 0, 0, 0};  // x1, y1, x2, y2
      for (int64_t value = 0; value < values && !box.empty(); ++value) {
        const T* map = image + value / shape.bins() * shape.map_size();
        const int p = int(value / shape.bins_x % shape.bins_y), q = int(value % shape.bins_x);
        const T weight = grad[box_index * values + value];
        const Box<T> slope =
            box_gradient(map, box, shape, p, q, output[box_index * values + value]);
        sum[0] += weight * slope.x.low;
        sum[1] += weight * slope.y.low;
        sum[2] += weight * slope.x.high;
        sum[3] += weight * slope.y.high;
      }
      for (int k = 0; k < 4; ++k) grad_boxes[box_index * 4 + k] = sum[k] * T(shape.scale);
    }
  }
};

// Calls `run(backend)` with the backend of the reference tensor's device, and reports a failed
// launch.
template <typename T, typename Run>
void on_device_of(const Tensor& reference, const Run& run) {
#ifdef PRROI_WITH_CUDA
  if (reference.is_cuda()) {
    const c10::cuda::CUDAGuard guard(reference.device());
    run(CudaBackend<T>{c10::cuda::getCurrentCUDAStream().stream()});
    C10_CUDA_KERNEL_LAUNCH_CHECK();
    return;
  }
#endif
  run(CpuBackend<T>{});
}

// `tensor` is named `name` in messages; it must have `dims` axes, and the type and device of
// `reference`.
void check_tensor(const char* op, const char* name, const Tensor& tensor, int64_t dims,
                  const Tensor& reference) {
  TORCH_CHECK_VALUE(tensor.dim() == dims, op, ": ", name, " has shape ", tensor.sizes(),
                    "; allowed: ", dims, " axes");
  TORCH_CHECK_TYPE(tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble, op,
                   ": ", name, " is ", tensor.scalar_type(),
                   "; allowed: Float (32 bits), Double (64 bits)");
  TORCH_CHECK_TYPE(tensor.scalar_type() == reference.scalar_type(), op, ": ", name, " is ",
                   tensor.scalar_type(), ", the first argument ", reference.scalar_type(),
                   "; allowed: the same type");
  TORCH_CHECK_VALUE(tensor.device() == reference.device(), op, ": ", name, " is on ",
                    tensor.device(), ", the first argument on ", reference.device(),
                    "; allowed: the same device");
}

void check_boxes(const char* op, const Tensor& boxes, int64_t batch, const Tensor& reference) {
  check_tensor(op, "boxes", boxes, 3, reference);
  TORCH_CHECK_VALUE(boxes.size(0) == batch && boxes.size(2) == 4, op, ": boxes have shape ",
                    boxes.sizes(), "; allowed: (", batch, ", P, 4)");
}

void check_values(const char* op, const char* name, const Tensor& values, const Shape& shape,
                  const Tensor& reference) {
  check_tensor(op, name, values, 5, reference);
  const int64_t allowed[] = {shape.batch, shape.boxes, shape.channels, shape.bins_y, shape.bins_x};
  TORCH_CHECK_VALUE(
      values.sizes() == at::IntArrayRef(allowed), op, ": ", name, " has shape ", values.sizes(),
      "; allowed: (B, P, C, pooled_height, pooled_width) = ", at::IntArrayRef(allowed));
}

int check_size(const char* op, const char* name, int64_t size, int64_t least) {
  TORCH_CHECK_VALUE(size >= least && size <= std::numeric_limits<int>::max(), op, ": ", name,
                    " is ", size, "; allowed: ", least, " to ", std::numeric_limits<int>::max());
  return static_cast<int>(size);
}

Shape make_shape(const char* op, const Tensor& boxes, int64_t channels, int64_t height,
                 int64_t width, int64_t bins_y, int64_t bins_x, double scale) {
  TORCH_CHECK_VALUE(std::isfinite(scale) && scale > 0, op, ": spatial_scale is ", scale,
                    "; allowed: a finite number > 0");
  return {boxes.size(0),
          boxes.size(1),
          channels,
          check_size(op, "height of the feature map", height, 0),
          check_size(op, "width of the feature map", width, 0),
          check_size(op, "pooled_height", bins_y, 1),
          check_size(op, "pooled_width", bins_x, 1),
          scale};
}

// features (B, C, H, W), boxes (B, P, 4) xyxy -> (B, P, C, h, w)
Tensor forward(const Tensor& features, const Tensor& boxes, int64_t bins_y, int64_t bins_x,
               double scale) {
  constexpr const char* op = "prroi_pool_forward";
  check_tensor(op, "features", features, 4, features);
  check_boxes(op, boxes, features.size(0), features);
  const Shape shape = make_shape(op, boxes, features.size(1), features.size(2), features.size(3),
                                 bins_y, bins_x, scale);
  const Tensor maps = features.contiguous(), corners = boxes.contiguous();
  Tensor output =
      at::empty({shape.batch, shape.boxes, shape.channels, bins_y, bins_x}, maps.options());
  if (output.numel() == 0) return output;
  AT_DISPATCH_FLOATING_TYPES(maps.scalar_type(), op, [&] {
    on_device_of<scalar_t>(maps, [&](const auto& backend) {
      backend.forward(maps.const_data_ptr<scalar_t>(), corners.const_data_ptr<scalar_t>(),
                      output.mutable_data_ptr<scalar_t>(), shape);
    });
  });
  return output;
}

// grad (B, P, C, h, w), boxes (B, P, 4) -> (B, C, H, W)
Tensor backward_features(const Tensor& grad, const Tensor& boxes, int64_t height, int64_t width,
                         int64_t bins_y, int64_t bins_x, double scale) {
  constexpr const char* op = "prroi_pool_backward_features";
  check_tensor(op, "grad", grad, 5, grad);
  check_boxes(op, boxes, grad.size(0), grad);
  const Shape shape = make_shape(op, boxes, grad.size(2), height, width, bins_y, bins_x, scale);
  check_values(op, "grad", grad, shape, grad);
  const Tensor weights = grad.contiguous(), corners = boxes.contiguous();
  Tensor grad_features = at::empty({shape.batch, shape.channels, height, width}, weights.options());
  if (grad_features.numel() == 0) return grad_features;
  AT_DISPATCH_FLOATING_TYPES(weights.scalar_type(), op, [&] {
    on_device_of<scalar_t>(weights, [&](const auto& backend) {
      backend.backward_features(weights.const_data_ptr<scalar_t>(),
                                corners.const_data_ptr<scalar_t>(),
                                grad_features.mutable_data_ptr<scalar_t>(), shape);
    });
  });
  return grad_features;
}

// grad and output (B, P, C, h, w), features (B, C, H, W), boxes (B, P, 4) -> (B, P, 4)
Tensor backward_boxes(const Tensor& grad, const Tensor& features, const Tensor& output,
                      const Tensor& boxes, int64_t bins_y, int64_t bins_x, double scale) {
  constexpr const char* op = "prroi_pool_backward_boxes";
  check_tensor(op, "grad", grad, 5, grad);
  check_tensor(op, "features", features, 4, grad);
  check_boxes(op, boxes, features.size(0), grad);
  const Shape shape = make_shape(op, boxes, features.size(1), features.size(2), features.size(3),
                                 bins_y, bins_x, scale);
  check_values(op, "grad", grad, shape, grad);
  check_values(op, "output", output, shape, grad);
  const Tensor weights = grad.contiguous(), maps = features.contiguous(),
               means = output.contiguous();
  const Tensor corners = boxes.contiguous();
  Tensor grad_boxes = at::empty(corners.sizes(), corners.options());
  if (grad_boxes.numel() == 0) return grad_boxes;
  AT_DISPATCH_FLOATING_TYPES(weights.scalar_type(), op, [&] {
    on_device_of<scalar_t>(weights, [&](const auto& backend) {
      backend.backward_boxes(weights.const_data_ptr<scalar_t>(), maps.const_data_ptr<scalar_t>(),
                             means.const_data_ptr<scalar_t>(), corners.const_data_ptr<scalar_t>(),
                             grad_boxes.mutable_data_ptr<scalar_t>(), shape);
    });
  });
  return grad_boxes;
}

void register_kernels(torch::Library& library) {
  library.impl("prroi_pool_forward", &forward);
  library.impl("prroi_pool_backward_features", &backward_features);
  library.impl("prroi_pool_backward_boxes", &backward_boxes);
}

}  // namespace
}  // namespace prroi

TORCH_LIBRARY_FRAGMENT(aiatrack, library) {
  library.def(
      "prroi_pool_forward(Tensor features, Tensor boxes, int pooled_height, int pooled_width, "
      "float spatial_scale) "
      "-> Tensor");
  library.def(
      "prroi_pool_backward_features(Tensor grad, Tensor boxes, int height, int width, int "
      "pooled_height, "
      "int pooled_width, float spatial_scale) -> Tensor");
  library.def(
      "prroi_pool_backward_boxes(Tensor grad, Tensor features, Tensor output, Tensor boxes, int "
      "pooled_height, "
      "int pooled_width, float spatial_scale) -> Tensor");
}

TORCH_LIBRARY_IMPL(aiatrack, CPU, library) { prroi::register_kernels(library); }

#ifdef PRROI_WITH_CUDA
TORCH_LIBRARY_IMPL(aiatrack, CUDA, library) { prroi::register_kernels(library); }
#endif
