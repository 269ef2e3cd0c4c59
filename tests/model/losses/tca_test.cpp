// Soft labels against ../shared/golden/cllm4rec/tca.

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/log.h>
#include <ATen/ops/where.h>

#include <cstdio>

#include "model/backbones/safetensors.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/losses/soft_batch.h"
#include "tests/model/tensors.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using testing::gap;
using testing::KnownLabels;
using testing::SoftBatch;
using testing::SoftSequence;

/// With the identity as head, logits are hidden states; a restricted softmax masks the
/// tokens that the trie does not allow.
TEST(SoftItemSoftmax, GivesTheGoldenValuesOfTca4Rec) {
  const auto index = testing::shared_json("golden/cllm4rec/index.json").at("tca");
  const SafetensorsFile inputs(testing::shared("golden/cllm4rec/tca/inputs.safetensors").string()),
      golden(testing::shared("golden/cllm4rec/tca/result.f64.safetensors").string());
  const at::Tensor logits = inputs.tensor("logits").to(at::kDouble), p_cf = golden.tensor("p_cf"),
                   label = golden.tensor("labels"), allowed = golden.tensor("allowed");
  const int64_t S = logits.size(0), V = logits.size(1);
  const auto batch_of = [&](bool restricted) {
    std::vector<SoftSequence> sequences;
    for (int64_t s = 0; s < S; ++s) {
      SoftSequence sequence{.rest = {0.0}, .targets = {{{label[s].item<int64_t>(), 1.0 / static_cast<double>(S)}}}};
      for (int64_t v = 0; restricted && v < V; ++v)
        if (allowed[s][v].item<int64_t>() == 0) sequence.items.push_back(v);
      sequence.shown = {std::ssize(sequence.items)};
      sequences.push_back(sequence);
    }
    return SoftBatch(sequences);
  };
  const at::Tensor log_p_cf = at::where(p_cf > 0, at::log(p_cf), -1e3);
  for (const double alpha : index.at("alphas")) {
    for (const std::string loss : {"full", "restricted", "soft_ce"}) {
      const bool restricted = loss == "restricted";
      const double tau = restricted ? index.at("restricted_tau").get<double>() : 1;
      const SoftBatch batch = batch_of(restricted);
      char name[32];
      std::snprintf(name, sizeof name, alpha == 0.05 ? "alpha%.2f/" : "alpha%.1f/", alpha);
      for (const int world_size : {1, 3}) {
        testing::run_ranks(world_size, [&](Communicator& comm) {
          const RowPartition partition(V, world_size);
          const Range rows{partition.begin(comm.rank()), partition.size(comm.rank())};
          const SoftBatch mine = comm.rank() == 0 ? batch : SoftBatch({});
          KnownLabels labels(log_p_cf, rows.first);
          const SoftObjective objective{.mask_shown = restricted,
                                        .alpha = alpha,
                                        .labels = &labels,
                                        .form = loss == "soft_ce" ? SoftForm::kCrossEntropy : SoftForm::kLogOutside};
          const HeadResult result = soft_item_softmax(
              comm, partition, (logits / tau).narrow(0, 0, mine.num_positions()),
              rows.of(at::eye(V, at::kDouble)).contiguous(), mine.targets(), to_tensors(mine.lists), objective);
          if (comm.rank() != 0) return;
          EXPECT_LE(gap(result.hidden_gradient / tau, golden.tensor(name + loss + "/grad")), 1e-14) << name << loss;
          if (world_size == 1 || loss != "soft_ce") {
            EXPECT_NEAR(result.loss, golden.tensor(name + loss + "/loss_per_step").mean().item<double>(), 1e-12);
          }
        });
      }
    }
  }
}

}  // namespace
}  // namespace cllm
