#include "model/recommenders/cllm4rec/head/standardise.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "model/kernels/rows/rows.h"
#include "model/step/encode.h"

namespace cllm {
namespace {

constexpr int64_t kSequences = 256;
constexpr double kLeastShare = 1e-3;  // of the mean deviation: a dimension that hardly moves is not blown up

}  // namespace

void standardise(ItemLogits& logits, Communicator& comm, const Backbone& backbone, const Table& table,
                 const std::function<std::optional<Batch>(int64_t step)>& batch_of, double skip) {
  const at::NoGradGuard no_grad;
  const at::Device device = table.weight.device();
  RowExchange exchange(comm, table.layout, device, kernels::row_kernels(device));
  const auto options = table.weight.options().dtype(at::kDouble);
  at::Tensor sum_D = at::zeros({table.width()}, options), squares_D = at::zeros({table.width()}, options);
  double positions = 0;
  for (int64_t step = 0, sequences = 0; sequences < kSequences; ++step) {
    const std::optional<Batch> batch = batch_of(step);
    if (!batch) break;
    const at::Tensor hidden_AD = encode(exchange, backbone, table, *batch, skip).to(at::kDouble);
    sum_D += hidden_AD.sum(0);
    squares_D += hidden_AD.square().sum(0);
    positions += static_cast<double>(hidden_AD.size(0));
    sequences += batch->num_sequences();
  }
  const at::Tensor mean_D = sum_D / std::max(1.0, positions);
  const at::Tensor deviation_D = (squares_D / std::max(1.0, positions) - mean_D.square()).clamp_min(0).sqrt();
  const double least = std::max(kLeastShare * deviation_D.mean().item<double>(), 1e-12);
  logits.mean_D.copy_(mean_D);
  logits.deviation_D.copy_(deviation_D.clamp_min(least));
}

}  // namespace cllm
