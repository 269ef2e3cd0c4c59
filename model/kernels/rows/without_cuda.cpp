// The device functions of a build without CUDA.
#include "model/kernels/device/without_cuda.h"
#include "model/kernels/rows/cuda.h"

namespace cllm::kernels::cuda {

at::Tensor gather_rows(const at::Tensor&, const at::Tensor&) { refuse(); }
void scatter_rows(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
at::Tensor square_gaps(const at::Tensor&, const at::Tensor&, const at::Tensor&) { refuse(); }
at::Tensor segment_sum(const at::Tensor&, const RowSegments&) { refuse(); }
void update_rows(const RowRule&, const RowTensors&, const RowGradient&, const RowCall&, const Rounding&) { refuse(); }
void catch_up_rows(const RowRule&, const RowTensors&, const at::Tensor&, const RowCall&, const Rounding&) { refuse(); }

}  // namespace cllm::kernels::cuda
