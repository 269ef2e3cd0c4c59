#include "model/nn/adapter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>

#include <utility>

#include "model/nn/dropout.h"

namespace cllm {

Adapter::Adapter(at::Tensor a_rI, at::Tensor b_Or, double scale, uint64_t salt)
    : a_rI_(std::move(a_rI)), b_Or_(std::move(b_Or)), scale_(scale), salt_(salt) {}

at::Tensor Adapter::added_to(const at::Tensor& y_TO, const at::Tensor& x_TI, const at::Tensor& keys_T,
                             double rate) const {
  if (!exists()) return y_TO;
  const at::Tensor seen_TI = dropout(x_TI.to(a_rI_.scalar_type()), DropoutSite{keys_T, rate, salt_});
  const at::Tensor low_Tr = at::mm(seen_TI, a_rI_.t()) * scale_;
  return y_TO + at::mm(low_Tr, b_Or_.t()).to(y_TO.scalar_type());
}

at::Tensor Adapter::delta_OI() const { return at::mm(b_Or_, a_rI_) * scale_; }

}  // namespace cllm
