#include "model/step/dense_gradients.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

namespace cllm {

bool is_finite(const at::Tensor& tensor) { return std::isfinite(tensor.sum().item<double>()); }

bool sum_dense_gradients(Communicator& comm, const std::vector<std::pair<std::string, at::Tensor>>& parameters) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> flat;
  flat.reserve(parameters.size());
  for (const auto& [name, parameter] : parameters) {
    flat.push_back((parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter)).reshape({-1}));
  }
  at::Tensor all = at::cat(flat);
  comm.all_reduce(all, ReduceOp::kSum);
  int64_t begin = 0;
  for (const auto& [name, parameter] : parameters) {
    parameter.mutable_grad() = all.narrow(0, begin, parameter.numel()).view(parameter.sizes());
    begin += parameter.numel();
  }
  return is_finite(all);
}

}  // namespace cllm
