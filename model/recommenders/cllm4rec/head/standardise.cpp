#include "model/recommenders/cllm4rec/head/standardise.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "model/kernels/rows/rows.h"
#include "model/recommenders/cllm4rec/stages.h"
#include "model/step/encode.h"

namespace cllm {
namespace {

constexpr int64_t kSequences = 256;
constexpr double kLeastShare = 1e-3;  // of the mean deviation: a dimension that hardly moves is not blown up

}  // namespace

void standardise(ItemLogits& logits, const RecModel& model, const Sampler& sampler, StepKind kind,
                 const Channels& channels) {
  const at::NoGradGuard no_grad;
  const Table& table = model.collaborative;
  const at::Device device = table.weight.device();
  RowExchange exchange(channels.exchange, table.layout, device, kernels::row_kernels(device));
  const auto options = table.weight.options().dtype(at::kDouble);
  at::Tensor sum_D = at::zeros({table.width()}, options), squares_D = at::zeros({table.width()}, options);
  const Stage stage = kind == StepKind::kCollaborative ? Stage::kMutual : Stage::kFinetune;
  double positions = 0;
  for (int64_t step = 0, sequences = 0; step < sampler.num_steps(kind) && sequences < kSequences; ++step) {
    const RecBatch batch = sampler.batch({.kind = kind, .stage = static_cast<int64_t>(stage), .step = step}, 0, 1);
    const at::Tensor hidden_AD = encode(exchange, *model.backbone, table, batch).to(at::kDouble);
    sum_D += hidden_AD.sum(0);
    squares_D += hidden_AD.square().sum(0);
    positions += static_cast<double>(hidden_AD.size(0));
    sequences += batch.num_sequences();
  }
  const at::Tensor mean_D = sum_D / std::max(1.0, positions);
  const at::Tensor deviation_D = (squares_D / std::max(1.0, positions) - mean_D.square()).clamp_min(0).sqrt();
  const double least = std::max(kLeastShare * deviation_D.mean().item<double>(), 1e-12);
  logits.mean_D.copy_(mean_D);
  logits.deviation_D.copy_(deviation_D.clamp_min(least));
}

}  // namespace cllm
