#pragma once

// The run configuration: what `cllm4rec train run.toml --section.key=value` means. Every key, its limits and its
// one-line documentation stand beside the options that it sets (data/settings.h); here they are read and printed.

#include <memory>
#include <span>
#include <string>

#include "launch/config/sections.h"
#include "model/evaluation/settings.h"
#include "model/recommenders/model_options.h"

namespace cllm {

struct RunConfig {
  RunSection run;
  std::string model = "cllm4rec";         // model.name
  std::shared_ptr<ModelOptions> options;  // of that model; copies of a configuration share them
  InitSection init;
  DataSection data;
  EvaluationSettings evaluation;
  CheckpointSection checkpoint;
  LogSection log;

  /// Validation metrics joined by '+', whose sum chooses the best state.
  std::string select() const { return evaluation.select.empty() ? options->select() : evaluation.select; }
};

/// The defaults of a model. Throws ConfigError for an unknown one.
RunConfig default_config(const std::string& model);

/// Reads `path` ("": no file) and then the overrides ("--section.key=value" or "section.key=value") in order.
/// run.variant and loss.preset are looked up first, because they set other defaults. Paths are relative to the working
/// directory. Throws ConfigError (file:line or the override, key, value, allowed values or the nearest known key).
RunConfig load_config(const std::string& path, std::span<const std::string> overrides);

/// The resolved configuration: every key that has a value. load_config of this text gives the same configuration.
std::string to_toml(const RunConfig& config);

/// 16 hex digits over the keys that shape the result: not run.dir, threads, deadlines, [checkpoint] and [log].
std::string config_digest(const RunConfig& config);

/// The list of `--help-config`: section, key, default, meaning, allowed values.
std::string config_help();

/// The value of a key as a person would write it; ConfigError if there is no such key.
std::string value_of(const RunConfig& config, const std::string& key);

}  // namespace cllm
