#include "model/nn/differentiable.h"

#include <torch/csrc/autograd/custom_function.h>

namespace cllm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Held : torch::CustomClassHolder {
  explicit Held(std::shared_ptr<const Differentiable> held) : operation(std::move(held)) {}
  std::shared_ptr<const Differentiable> operation;
};

struct Recorded : torch::autograd::Function<Recorded> {
  static variable_list forward(AutogradContext* ctx, at::TensorList inputs,
                               const std::shared_ptr<const Differentiable>& operation) {
    variable_list saved;
    variable_list outputs = operation->forward(inputs.vec(), saved);
    ctx->set_materialize_grads(false);
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["operation"] = c10::IValue::make_capsule(c10::make_intrusive<Held>(operation));
    ctx->saved_data["inputs"] = static_cast<int64_t>(inputs.size());
    return outputs;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    Differentiable::Saved saved{ctx->get_saved_variables(), {}};
    const auto inputs = static_cast<size_t>(ctx->saved_data["inputs"].toInt());
    for (size_t i = 0; i < inputs; ++i) saved.wanted.push_back(ctx->needs_input_grad(i));
    const auto held = c10::static_intrusive_pointer_cast<Held>(ctx->saved_data["operation"].toCapsule());
    variable_list out = held->operation->backward(saved, gradients);
    out.emplace_back();  // of the operation itself
    return out;
  }
};

}  // namespace

Differentiable::Tensors apply(std::shared_ptr<const Differentiable> operation, const Differentiable::Tensors& inputs) {
  return Recorded::apply(at::TensorList(inputs), operation);  // a std::vector would not be seen as tensors
}

}  // namespace cllm
