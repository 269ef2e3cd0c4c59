#pragma once

#include <string>

#include "model/recommenders/language_model/text_blocks.h"
#include "model/recommenders/model_options.h"

namespace cllm {

/// [language_model]: a GPT-2 from scratch on a corpus' texts.
struct LanguageModelOptions : ModelOptions {
  int64_t layers = 4, heads = 4, width = 256, positions = 512;
  int64_t context = 256, blocks = 8;  // tokens of a block; blocks of a step, all ranks together
  int64_t epochs = 5, warmup_steps = 100;
  double learning_rate = 1e-3, clip = 1;

  void describe(Settings& settings) override;
  std::string problem() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<LanguageModelOptions>(*this); }

  /// Linear rise, then half a cosine to 0. Steps count from 0.
  double learning_rate_at(int64_t step, int64_t num_steps) const;
};

}  // namespace cllm
