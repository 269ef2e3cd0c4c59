#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/evaluation/ranking.h"

namespace cllm {

/// The sum of metrics that the best state is chosen by, e.g. "recall@20+recall@40+ndcg@100" (METHOD.md §6).
class Selection {
 public:
  /// ConfigError for anything but recall@K and ndcg@K joined by '+'.
  explicit Selection(const std::string& text);

  /// Throws std::out_of_range if a metric is missing.
  double score(const std::map<std::string, double>& metrics) const;
  /// The cut-offs of `ks` and those that the selection needs.
  MetricChoice with(MetricChoice ks) const;

 private:
  std::vector<std::string> names_;
  MetricChoice needed_;
};

}  // namespace cllm
