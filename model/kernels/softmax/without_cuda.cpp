// The device functions of a build without CUDA.
#include "model/kernels/device/without_cuda.h"
#include "model/kernels/softmax/cuda.h"

namespace cllm::kernels::cuda {

void exp_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
void add_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
at::Tensor row_dots(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
void add_scaled_rows(const at::Tensor&, const at::Tensor&, const ScaledRows&) { refuse(); }

}  // namespace cllm::kernels::cuda
