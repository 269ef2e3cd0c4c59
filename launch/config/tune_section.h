#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/settings.h"
#include "launch/config/config.h"
#include "model/recommenders/model_options.h"

namespace cllm {

/// [tune] of a file or command line: how a search goes, and what it varies. `train` passes it over.
struct TuneSection {
  int64_t trials = 20;
  double minutes = 0;            // of all trials together, whatever the number of starts; 0: no limit
  int64_t factor = 3;            // a rung has so many times the epochs of the one below, and that part of its trials
  int64_t rungs = 3;             // at most
  int64_t seed = 0;              // of the draws of the space; trials train with run.seed
  int64_t seeds = 0;             // runs of the best configuration at the end, with run.seed + 1 and so on
  std::vector<SearchKey> space;  // [tune.space], or the model's; by name
};

void describe(TuneSection& tune, Settings& settings);

/// Reads [tune] as load_config() reads the rest; `config`: what it gave, which must have all keys of the space. Throws
/// ConfigError.
TuneSection load_tune(const std::string& path, std::span<const std::string> overrides, const RunConfig& config);

/// The documentation of [tune], for --help-config.
std::string tune_help();

}  // namespace cllm
