#include "model/tables/dense_adam.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace cllm {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

}  // namespace

DenseAdam::DenseAdam(Named parameters) {
  for (auto& [name, parameter] : parameters) {
    slots_.push_back({name, parameter, at::zeros_like(parameter), at::zeros_like(parameter)});
  }
}

void DenseAdam::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  const double t = static_cast<double>(++num_steps_);
  const double correction1 = 1 - std::pow(kBeta1, t), correction2 = std::sqrt(1 - std::pow(kBeta2, t));
  for (Slot& slot : slots_) {
    at::Tensor& gradient = slot.parameter.mutable_grad();
    slot.m.mul_(kBeta1);
    slot.v.mul_(kBeta2);
    if (gradient.defined()) {
      slot.m.add_(gradient, 1 - kBeta1);
      slot.v.addcmul_(gradient, gradient, 1 - kBeta2);
    }
    slot.parameter.addcdiv_(slot.m, slot.v.sqrt().div_(correction2).add_(kEpsilon), -learning_rate / correction1);
    gradient = at::Tensor();
  }
}

double DenseAdam::clip_gradients(double max_norm) {
  const at::NoGradGuard no_grad;
  double square = 0;
  for (const Slot& slot : slots_) {
    if (slot.parameter.grad().defined())
      square += std::pow(at::linalg_vector_norm(slot.parameter.grad()).item<double>(), 2);
  }
  const double norm = std::sqrt(square);
  if (norm > max_norm) {
    for (Slot& slot : slots_) {
      if (slot.parameter.grad().defined()) slot.parameter.mutable_grad().mul_(max_norm / norm);
    }
  }
  return norm;
}

DenseAdam::Named DenseAdam::state() const {
  Named out;
  for (const Slot& slot : slots_) {
    out.emplace_back(slot.name, slot.parameter.detach());
    out.emplace_back(slot.name + ".m", slot.m);
    out.emplace_back(slot.name + ".v", slot.v);
  }
  return out;
}

}  // namespace cllm
