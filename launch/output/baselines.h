#pragma once

// What any model must beat: popularity and item cosine, on the training interactions of a corpus.

#include <map>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "model/evaluation/queries.h"

namespace cllm {

/// "recall@20" -> value; METHOD.md §7.
using MetricValues = std::map<std::string, double>;

struct BaselineOptions {
  MetricList metrics = MetricList({20, 40}, {100});
  Part part = Part::kTest;  // what is to be found
  HistoryMode history = HistoryMode::kTrain;
  Mask mask = Mask::kHistory;
};

/// "popularity": training users of an item. "item_cosine": sum over the history of the cosine of the items' user sets.
/// One user at a time; memory is O(interactions + items).
std::map<std::string, MetricValues> evaluate_baselines(const Corpus& corpus, const BaselineOptions& options = {});

/// <run_dir>/baselines.json, where write_report() looks for them: {"popularity": {"recall@20": 0.16, ...}, ...}.
void write_baselines(const std::string& run_dir, const std::map<std::string, MetricValues>& baselines);
std::map<std::string, MetricValues> read_baselines(const std::string& run_dir);

}  // namespace cllm
