#include "model/linear.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

namespace cllm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// oneDNN's linear has no public C++ header; these are the operators that torch.compile uses. Weights are [out, in] there.
at::Tensor prepack(const at::Tensor& weight) {
  using Signature = at::Tensor(const at::Tensor&, std::optional<int64_t>);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Signature>();
  return op.call(weight.contiguous(), std::nullopt);
}

at::Tensor packed_product(const at::Tensor& x, const at::Tensor& packed) {
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                               c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return op.call(x, packed, std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

/// The packed weights are no inputs of the graph: they need no gradient.
struct PackedProduct : torch::autograd::Function<PackedProduct> {
  struct Weights {
    at::Tensor forward, backward;
  };
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const Weights& weights) {
    ctx->saved_data["weight"] = weights.backward;
    return packed_product(x.contiguous(), weights.forward);
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    return {packed_product(gradients[0].contiguous(), ctx->saved_data["weight"].toTensor()), {}};
  }
};

}  // namespace

Linear::Linear(const at::Tensor& weight, bool packed) {
  if (packed) {
    forward_ = prepack(weight.t());
    backward_ = prepack(weight);
  } else {
    weight_ = weight;
  }
}

at::Tensor Linear::operator()(const at::Tensor& x) const {
  return weight_.defined() ? at::mm(x, weight_) : PackedProduct::apply(x, PackedProduct::Weights{forward_, backward_});
}

}  // namespace cllm
