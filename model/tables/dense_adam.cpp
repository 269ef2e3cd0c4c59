#include "model/tables/dense_adam.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace cllm {
namespace {

constexpr double kEpsilon = 1e-8;

}  // namespace

DenseAdam::DenseAdam(Named parameters, double beta1, double beta2) : beta1_(beta1), beta2_(beta2) {
  for (auto& [name, parameter] : parameters) {
    slots_.push_back({name, parameter, at::zeros_like(parameter), at::zeros_like(parameter)});
  }
}

void DenseAdam::reset() {
  for (Slot& slot : slots_) {
    slot.m.zero_();
    slot.v.zero_();
  }
  num_steps_ = 0;
}

void DenseAdam::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  const double t = static_cast<double>(++num_steps_);
  const double correction1 = 1 - std::pow(beta1_, t), correction2 = std::sqrt(1 - std::pow(beta2_, t));
  for (Slot& slot : slots_) {
    at::Tensor& gradient = slot.parameter.mutable_grad();
    slot.m.mul_(beta1_);
    slot.v.mul_(beta2_);
    if (gradient.defined()) {
      slot.m.add_(gradient, 1 - beta1_);
      slot.v.addcmul_(gradient, gradient, 1 - beta2_);
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

int64_t DenseAdam::num_parameters() const {
  int64_t out = 0;
  for (const Slot& slot : slots_) out += slot.parameter.numel();
  return out;
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
