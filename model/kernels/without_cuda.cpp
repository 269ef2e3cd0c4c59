// The device functions of a build without CUDA.
#include "model/errors.h"
#include "model/kernels/cuda.h"

namespace cllm::kernels::cuda {
namespace {

[[noreturn]] void refuse() {
  throw ModelError(
      "a tensor is on a GPU, but this program was built without CUDA: build with -DCLLM_CUDA=ON, or run with "
      "--device=cpu");
}

}  // namespace

bool built() { return false; }
at::Tensor gather_rows(const at::Tensor&, const at::Tensor&) { refuse(); }
void scatter_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
at::Tensor square_gaps(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
at::Tensor segment_sum(const at::Tensor&, const RowSegments&) { refuse(); }
void exp_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
void add_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
at::Tensor row_dots(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
void add_scaled_rows(const at::Tensor&, const at::Tensor&, const ScaledRows&) { refuse(); }
at::Tensor dropout(const at::Tensor&, const at::Tensor&, double, uint64_t, int64_t) { refuse(); }
at::Tensor bias_gelu(const at::Tensor&, const at::Tensor&, bool, const at::Tensor&) { refuse(); }
void add_norm(const NormTensors&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const NormCall&) {
  refuse();
}
void add_norm_backward(const at::Tensor&, const at::Tensor&, const NormTensors&, const at::Tensor&, const NormCall&) {
  refuse();
}
void adam_catch_up(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                   const AdamCall&, const Rounding&) {
  refuse();
}
void adam_update(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const RowGradient&,
                 const AdamCall&, const Rounding&) {
  refuse();
}
void rowwise_adagrad_update(const at::Tensor&, const at::Tensor&, const RowGradient&, double, double, const Rounding&) {
  refuse();
}
void sgd_update(const at::Tensor&, const RowGradient&, double, const Rounding&) { refuse(); }

}  // namespace cllm::kernels::cuda
