#include "model/nn/linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <optional>

#include "model/nn/differentiable.h"
#include "model/nn/few_sizes.h"
#include "model/nn/products.h"

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

/// The weights are no inputs of the graph: they need no gradient.
struct PackedProduct : Differentiable {
  at::Tensor packed, weight;
  PackedProduct(at::Tensor forward_weight, at::Tensor plain)
      : packed(std::move(forward_weight)), weight(std::move(plain)) {}

  Tensors forward(const Tensors& x, Tensors&) const override { return {packed_product(x[0].contiguous(), packed)}; }
  Tensors backward(const Saved&, const Tensors& gradients) const override { return {at::mm(gradients[0], weight.t())}; }
};

/// A frozen bf16 weight [in, out] on a CPU that does not multiply bf16.
struct WideProduct : Differentiable {
  at::Tensor weight;
  explicit WideProduct(at::Tensor of) : weight(std::move(of)) {}

  Tensors forward(const Tensors& x, Tensors&) const override { return {wide_product(x[0], weight)}; }
  Tensors backward(const Saved&, const Tensors& gradients) const override {
    return {wide_product(gradients[0], weight.t())};
  }
};

}  // namespace

Linear::Linear(const at::Tensor& weight, bool frozen) : weight_(weight) {
  if (!frozen) return;
  wide_ = !cpu_has_bf16();
  if (!wide_) packed_ = prepack(weight.t());
}

at::Tensor Linear::plus(const at::Tensor& x, const at::Tensor& bias) const {
  return at::addmm(bias.to(x.scalar_type()), x, weight_);
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  if (packed_.defined()) return cllm::apply(PackedProduct(packed_, weight_), {x})[0];
  return wide_ ? cllm::apply(WideProduct(weight_), {x})[0] : at::mm(x, weight_);
}

}  // namespace cllm
