#pragma once

// What the tests of the sampler share.

#include <algorithm>
#include <vector>

#include "model/recommenders/cllm4rec/sampler.h"
#include "tests/data/sampling/small_corpus.h"

namespace cllm::sampler_tests {

using Tokens = std::vector<int32_t>;

inline constexpr StepKind kKinds[] = {StepKind::kCollaborative, StepKind::kContent, StepKind::kRecommendation};

inline const Corpus& corpus() {
  static const testing::SmallCorpus small;
  return small.corpus();
}

inline PromptSet prompts() {
  static const Tokenizer tokenizer = testing::SmallCorpus::tokenizer();
  const auto compile = [](const char* text) { return PromptTemplate::compile(text, tokenizer); };
  return {.collaborative = compile("{user} has interacted with"),
          .recommendation = compile("{user} has interacted with {items}, the user will interact with:"),
          .review = compile("{user} wrote the following review for {item}:"),
          .biography = compile("The biography of {user} is:"),
          .item_content = compile("The content of {item} is:")};
}

inline SamplerOptions small_batches(const LossOptions& loss = LossOptions::paper()) {
  return {.loss = loss, .shape = {.group_size = 3, .groups_per_batch = 4}, .seed = 11, .max_positions = 64};
}

inline Sampler sampler(const SamplerOptions& options = small_batches()) {
  return Sampler(corpus(), prompts(), options);
}

/// All sequences of an epoch.
inline std::vector<Sequence> epoch_of(const Sampler& sampler, StepKind kind, int64_t epoch = 0) {
  std::vector<Sequence> sequences;
  for (StepId id{.kind = kind, .stage = 1, .epoch = epoch}; id.step < sampler.num_steps(kind); ++id.step)
    for (const PlannedSample& planned : sampler.plan(id)) sequences.push_back(sampler.sequence(id, planned));
  return sequences;
}

inline Tokens items_of(const Tokens& tokens) {
  Tokens items;
  for (const int32_t token : tokens)
    if (corpus().vocabulary().is_item(token)) items.push_back(token - corpus().vocabulary().item_token(0));
  return items;
}

inline int64_t user_of(const Sequence& sequence) { return corpus().vocabulary().row_of(sequence.prompt.front()); }

inline Tokens sorted(Tokens values) {
  std::sort(values.begin(), values.end());
  return values;
}

inline Tokens train_items(int64_t user) {
  const auto items = corpus().items(user, Part::kTrain);
  return {items.begin(), items.end()};
}

}  // namespace cllm::sampler_tests
