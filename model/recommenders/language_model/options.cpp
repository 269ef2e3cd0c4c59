#include "model/recommenders/language_model/options.h"

#include <cmath>
#include <numbers>

namespace cllm {

void LanguageModelOptions::describe(Settings& settings) {
  const auto add = [&](const char* name, auto* target, const char* doc, const Limits& limits) {
    settings.push_back({std::string("language_model.") + name, target, doc, limits});
  };
  add("layers", &layers, "blocks of the GPT-2", between(1, 1 << 10));
  add("heads", &heads, "attention heads", between(1, 1 << 10));
  add("width", &width, "of hidden states; a multiple of heads", between(1, 1 << 20));
  add("positions", &positions, "longest sequence in tokens", between(2, 1 << 20));
  add("context", &context, "tokens of a training block", between(2, 1 << 20));
  add("blocks", &blocks, "blocks of a step, all ranks together", between(1, 1 << 20));
  add("epochs", &epochs, "passes over the texts", between(1, 1e6));
  add("learning_rate", &learning_rate, "at its highest, after warmup_steps; then half a cosine to 0", at_least(0));
  add("warmup_steps", &warmup_steps, "steps of linear rise", at_least(0));
  add("clip", &clip, "largest L2 norm of the gradient", at_least(0));
}

std::string LanguageModelOptions::problem() const {
  if (context > positions) {
    return "language_model.context = " + std::to_string(context) +
           " is longer than language_model.positions = " + std::to_string(positions) +
           ": choose a shorter context or more positions";
  }
  if (width % heads != 0) {
    return "language_model.width = " + std::to_string(width) +
           " is no multiple of language_model.heads = " + std::to_string(heads) + ": choose another width";
  }
  return "";
}

double LanguageModelOptions::learning_rate_at(int64_t step, int64_t num_steps) const {
  if (step < warmup_steps) return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  return learning_rate * 0.5 *
         (1 + std::cos(std::numbers::pi * static_cast<double>(step) / static_cast<double>(num_steps)));
}

}  // namespace cllm
