#pragma once

#include <map>
#include <string>

#include "model/evaluation/metrics.h"

namespace cllm {

/// The sum of metrics that the best state is chosen by, e.g. "recall@20+recall@40+ndcg@100" (METHOD.md §6).
class Selection {
 public:
  /// ModelError, naming `key`, for anything but metrics joined by '+'.
  explicit Selection(const std::string& text, const std::string& key = "finetune.select");

  /// Throws std::out_of_range if a metric is missing.
  double score(const std::map<std::string, double>& metrics) const;
  /// `metrics` and those that the selection needs.
  MetricList with(MetricList metrics) const;

 private:
  MetricList needed_;
};

}  // namespace cllm
