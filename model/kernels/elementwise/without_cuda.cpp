// The device functions of a build without CUDA.
#include "model/kernels/device/without_cuda.h"
#include "model/kernels/elementwise/cuda.h"

namespace cllm::kernels::cuda {

at::Tensor dropout(const at::Tensor&, const at::Tensor&, double, uint64_t, int64_t) { refuse(); }
at::Tensor bias_gelu(const at::Tensor&, const at::Tensor&, bool, const at::Tensor&) { refuse(); }
void add_norm(const NormTensors&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const NormCall&) {
  refuse();
}
void add_norm_backward(const at::Tensor&, const at::Tensor&, const NormTensors&, const at::Tensor&, const NormCall&) {
  refuse();
}

}  // namespace cllm::kernels::cuda
