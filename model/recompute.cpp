#include "model/recompute.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

namespace cllm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct HeldPiece : torch::CustomClassHolder {
  explicit HeldPiece(Piece held) : piece(std::move(held)) {}
  Piece piece;
};

struct Recomputed : torch::autograd::Function<Recomputed> {
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& n, const Piece& piece) {
    ctx->set_materialize_grads(false);
    ctx->save_for_backward({x, n});
    ctx->saved_data["piece"] = c10::IValue::make_capsule(c10::make_intrusive<HeldPiece>(piece));
    const auto [x_out, n_out] = piece(x, n);
    return {x_out, n_out};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const auto held = c10::static_intrusive_pointer_cast<HeldPiece>(ctx->saved_data["piece"].toCapsule());
    const at::Tensor x = saved[0].detach().set_requires_grad(ctx->needs_input_grad(0)),
                     n = saved[1].detach().set_requires_grad(ctx->needs_input_grad(1));
    const at::AutoGradMode with_graph(true);
    const auto [x_out, n_out] = held->piece(x, n);
    variable_list outputs, given;
    for (const auto& [output, gradient] : {std::pair(x_out, gradients[0]), std::pair(n_out, gradients[1])}) {
      if (!gradient.defined()) continue;
      outputs.push_back(output);
      given.push_back(gradient);
    }
    torch::autograd::backward(outputs, given);
    return {x.grad(), n.grad(), {}};
  }
};

}  // namespace

std::pair<at::Tensor, at::Tensor> recomputed(const Piece& piece, const at::Tensor& x, const at::Tensor& n) {
  if (!at::GradMode::is_enabled()) return piece(x, n);
  const variable_list out = Recomputed::apply(x, n, piece);
  return {out[0], out[1]};
}

}  // namespace cllm
