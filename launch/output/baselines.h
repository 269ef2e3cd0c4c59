#pragma once

// What a run's test metrics are compared with, on disk: <run_dir>/baselines.json.

#include <map>
#include <string>

namespace cllm {

/// "recall@20" -> value; METHOD.md §7.
using MetricValues = std::map<std::string, double>;

/// A model beside the run: its values, or why there are none.
struct Baseline {
  MetricValues values = {};
  std::string not_run = {};
};
using Baselines = std::map<std::string, Baseline>;  // by model

/// {"popularity": {"recall@20": 0.16, ...}, "ease": "not run: ease: 90000 items need ...", ...}.
void write_baselines(const std::string& run_dir, const Baselines& baselines);
/// Empty if there is no such file. DataError for a file that holds something else.
Baselines read_baselines(const std::string& run_dir);

}  // namespace cllm
