#pragma once

#include <ATen/ops/zeros.h>

#include <memory>
#include <vector>

#include "model/recommenders/registry.h"
#include "tests/data/sampling/small_corpus.h"

namespace cllm::testing {

/// X [I, J] fp64 of the training part.
inline at::Tensor training_matrix(const Corpus& corpus) {
  at::Tensor out = at::zeros({corpus.vocabulary().num_users, corpus.vocabulary().num_items}, at::kDouble);
  for (int64_t user = 0; user < out.size(0); ++user) {
    for (const int32_t item : corpus.items(user, Part::kTrain))
      out.mutable_data_ptr<double>()[user * out.size(1) + item] = 1;
  }
  return out;
}

/// All that the trainer does with a model; returns the losses of the steps.
inline std::vector<StepLosses> run_program(Recommender& model) {
  std::vector<StepLosses> out;
  const Program& program = model.program();
  for (int64_t step = 0; step < program.num_steps(); ++step) {
    const StepRef ref = program.at(step);
    const auto input = model.input(ref);
    out.push_back(model.step(*input, {.ref = ref, .global_step = step}, nullptr));
  }
  model.flush([] {});
  return out;
}

/// The training histories of this rank's share of the users, with themselves masked.
inline std::vector<RankingQuery> training_queries(const Corpus& corpus, int rank = 0, int world_size = 1) {
  std::vector<RankingQuery> out;
  const RowPartition users(corpus.vocabulary().num_users, world_size);
  for (int64_t user = users.begin(rank); user < users.end(rank); ++user) {
    const auto items = corpus.items(user, Part::kTrain);
    out.push_back({user, {items.begin(), items.end()}, {items.begin(), items.end()}});
  }
  return out;
}

}  // namespace cllm::testing
