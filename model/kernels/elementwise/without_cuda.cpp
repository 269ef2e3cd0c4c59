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
at::Tensor gated(const at::Tensor&, const at::Tensor&, bool) { refuse(); }
std::pair<at::Tensor, at::Tensor> gated_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&, bool) {
  refuse();
}
void add_rms_norm(const RmsNormTensors&, const at::Tensor&, const at::Tensor&, const RmsNormCall&) { refuse(); }
void add_rms_norm_backward(const at::Tensor&, const at::Tensor&, const RmsNormTensors&, const at::Tensor&,
                           const at::Tensor&, const RmsNormCall&) {
  refuse();
}
at::Tensor rms_weight_gradient(const at::Tensor&, const at::Tensor&, const at::Tensor&, const Mask&) { refuse(); }
at::Tensor norm_and_rotate(const at::Tensor&, const RotaryCall&) { refuse(); }
at::Tensor norm_and_rotate_backward(const at::Tensor&, const at::Tensor&, const RotaryCall&) { refuse(); }

}  // namespace cllm::kernels::cuda
