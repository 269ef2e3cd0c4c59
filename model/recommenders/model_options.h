#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/settings.h"

namespace cllm {

/// The options of one recommender: a struct with its defaults, and the keys that set them.
class ModelOptions {
 public:
  virtual ~ModelOptions() = default;

  /// Appends the model's keys; their targets point into this object.
  virtual void describe(Settings& settings) = 0;
  /// Keys that set the defaults of others (presets): they are read first, then apply_presets() is called, then all
  /// keys.
  virtual std::vector<std::string> leading_keys() const { return {}; }
  virtual void apply_presets() {}
  /// What is wrong with the values together: a sentence for a person, or "".
  virtual std::string problem() const { return ""; }
  /// Whose validation sum chooses the best state, unless evaluation.select says: metrics joined by '+'.
  virtual std::string select() const { return "recall@20+recall@40+ndcg@100"; }
  /// Keys that must agree with those of another run whose state this one starts from (init.run).
  virtual std::vector<std::string> keys_of_state() const { return {}; }
  /// A copy with its own targets.
  virtual std::unique_ptr<ModelOptions> clone() const = 0;
};

}  // namespace cllm
