#pragma once

// Titles that tests make by hand, and a backbone so small that all of them can be scored.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/random.h"
#include "model/recommenders/titles/titles.h"
#include "tests/data/text/shared_files.h"

namespace cllm::testing {

constexpr int32_t kTitleEnd = 99;

/// `num_items` titles of 1 to 5 tokens out of few, so that beginnings are shared, titles continue others, and some are
/// equal.
inline std::vector<std::vector<int32_t>> random_titles(int64_t num_items, uint64_t seed) {
  CounterRng random(seed);
  std::vector<std::vector<int32_t>> out;
  for (int64_t item = 0; item < num_items; ++item) {
    std::vector<int32_t>& title = out.emplace_back(1 + random.below(5));
    for (int32_t& token : title) token = static_cast<int32_t>(random.below(4)) + 7;
  }
  return out;
}

/// Popularity [J] of few values.
inline std::vector<double> random_popularity(int64_t num_items, uint64_t seed) {
  CounterRng random(seed);
  std::vector<double> out;
  for (int64_t item = 0; item < num_items; ++item) out.push_back(static_cast<double>(random.below(3)));
  return out;
}

/// A folder with the config.json of a GPT-2 of `words` words.
class SmallGpt2 {
 public:
  explicit SmallGpt2(int64_t words, int64_t width = 16) {
    const nlohmann::json config{{"model_type", "gpt2"},     {"n_layer", 2},      {"n_head", 2},
                                {"n_embd", width},          {"n_positions", 96}, {"vocab_size", words},
                                {"eos_token_id", words - 1}};
    folder_.write("config.json", config.dump());
  }
  std::string dir() const { return folder_.path().string(); }

 private:
  TemporaryFolder folder_;
};

/// Training on SmallCorpus in seconds.
inline TitlesOptions small_titles_options(const std::string& backbone) {
  TitlesOptions options;
  options.backbone = backbone;
  options.random_backbone = true;
  options.adapters = {.rank = 4, .alpha = 8, .dropout = 0.1};
  options.targets = TitleTargets::kAll;
  options.max_titles = 4;
  options.batch_users = 12;
  options.epochs = 2;
  options.warmup_steps = 2;
  options.learning_rate = 1e-2;
  options.beams = 9;
  return options;
}

}  // namespace cllm::testing
