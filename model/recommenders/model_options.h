#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/settings.h"

namespace cllm {

/// A key that a search may set: a range of numbers, or choices as they stand in a TOML file.
struct SearchKey {
  std::string key;
  double min = 0, max = 0;
  bool log = false;                       // even over the logarithm
  std::vector<std::string> choices = {};  // not empty: these instead of the range
};

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
  /// What `tune` varies unless it is told something else. A function of the values.
  virtual std::vector<SearchKey> search_space() const { return {}; }
  /// Why an item without interactions has no place in lists of a run with these options: "X, to which …"; "": it has
  /// one, by its text.
  virtual std::string why_no_new_items() const {
    return "a model to which an item without interactions is nothing: add it to the corpus with its interactions, and "
           "train anew";
  }
  /// Keys that must agree with those of another run whose state this one starts from (init.run).
  virtual std::vector<std::string> keys_of_state() const { return {}; }
  /// A copy with its own targets.
  virtual std::unique_ptr<ModelOptions> clone() const = 0;
};

}  // namespace cllm
