#include "model/nn/linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <optional>

#include "model/nn/differentiable.h"

namespace cllm {
namespace {

// oneDNN's linear has no public C++ header; these are the operators that torch.compile uses. Weights are [out, in]
// there.
at::Tensor prepack(const at::Tensor& weight) {
  using Signature = at::Tensor(const at::Tensor&, std::optional<int64_t>);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Signature>();
  return op.call(weight.contiguous(), std::nullopt);
}

at::Tensor packed_product(const at::Tensor& x, const at::Tensor& packed) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return op.call(x, packed, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

/// oneDNN refuses bf16 on CPUs without AVX512 or AVX-NE-CONVERT; libtorch's own product, which is slower, does not.
bool can_pack(at::ScalarType dtype) {
  const auto accepts = [](at::ScalarType type) {
    try {
      prepack(at::zeros({2, 2}, type));
      return true;
    } catch (const c10::Error&) {
      return false;
    }
  };
  static const bool bf16 = accepts(at::kBFloat16);
  return dtype != at::kBFloat16 || bf16;
}

/// The packed weights are no inputs of the graph: they need no gradient.
struct PackedProduct : Differentiable {
  at::Tensor to_output, to_input;
  PackedProduct(at::Tensor forward_weight, at::Tensor backward_weight)
      : to_output(std::move(forward_weight)), to_input(std::move(backward_weight)) {}

  Tensors forward(const Tensors& x, Tensors&) const override { return {packed_product(x[0].contiguous(), to_output)}; }
  Tensors backward(const Saved&, const Tensors& gradients) const override {
    return {packed_product(gradients[0].contiguous(), to_input)};
  }
};

}  // namespace

Linear::Linear(const at::Tensor& weight, bool packed) {
  if (packed && can_pack(weight.scalar_type())) {
    forward_ = prepack(weight.t());
    backward_ = prepack(weight);
  } else {
    weight_ = weight;
  }
}

at::Tensor Linear::plus(const at::Tensor& x, const at::Tensor& bias) const {
  return at::addmm(bias.to(x.scalar_type()), x, weight_);
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return weight_.defined() ? at::mm(x, weight_) : apply(PackedProduct(forward_, backward_), {x})[0];
}

}  // namespace cllm
