#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/settings.h"
#include "model/evaluation/evaluate.h"
#include "model/evaluation/selection.h"

namespace cllm {

/// [evaluation] of a run.
struct EvaluationSettings {
  std::vector<std::string> metrics = {};  // "recall@20"; empty: those of the cut-offs below
  std::vector<int64_t> recall_k = {20, 40}, ndcg_k = {100};
  HistoryMode history_at_test = HistoryMode::kTrain;
  Mask mask = Mask::kHistory;
  std::string select;  // sum of metrics that the best state is chosen by; "": the model's
  int64_t every_epochs = 1, batch_users = 64, bootstrap = 0;

  /// ModelError for a name that is none.
  MetricList metric_list() const;
  /// With the history of `part`: validation is always fed the training items. `seed` is of the bootstrap.
  EvaluationOptions options(Part part, uint64_t seed) const;
};

void describe(EvaluationSettings& evaluation, Settings& settings);

}  // namespace cllm
