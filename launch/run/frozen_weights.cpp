#include "launch/run/frozen_weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/index.h>

#include <algorithm>

#include "launch/config/text.h"

namespace cllm {
namespace {

/// Evenly spaced values of all places, as bf16.
at::Tensor sampled(const at::Tensor& tensor) {
  constexpr int64_t kMost = 1024;
  const at::NoGradGuard no_grad;
  const int64_t count = std::min(kMost, tensor.numel()), columns = tensor.dim() == 0 ? 1 : tensor.size(-1);
  const at::Tensor rows = tensor.dim() == 2 ? tensor : tensor.reshape({-1, columns});  // a matrix may be transposed
  const at::TensorOptions places = at::TensorOptions().dtype(at::kLong).device(tensor.device());
  const at::Tensor at =
      (at::arange(count, places) * (tensor.numel() - 1)).floor_divide(std::max<int64_t>(count - 1, 1));
  return at::index(rows, {at.floor_divide(columns), at.remainder(columns)}).to(at::kCPU, at::kBFloat16).contiguous();
}

}  // namespace

std::string fingerprint_of_frozen(const Store& store) {
  if (store.frozen.empty()) return "";
  std::string all;
  for (const NamedTensor& tensor : store.frozen) {
    all += tensor.name + " ";
    for (const int64_t size : tensor.value.sizes()) all += std::to_string(size) + " ";
    if (tensor.value.numel() == 0) continue;
    const at::Tensor values = sampled(tensor.value);
    all += digest_of_text({static_cast<const char*>(values.const_data_ptr()), values.nbytes()}) + "\n";
  }
  return digest_of_text(all);
}

}  // namespace cllm
