#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/random.h"
#include "data/sampling/plan.h"
#include "data/sampling/user_stream.h"
#include "model/evaluation/scorer.h"
#include "model/recommenders/cllm4rec/history/history_items.h"
#include "model/recommenders/cllm4rec/objective/objective.h"
#include "model/recommenders/cllm4rec/preset.h"
#include "model/recommenders/cllm4rec/sequence.h"
#include "model/recommenders/cllm4rec/step_kind.h"
#include "model/recommenders/cllm4rec/words/prompt_set.h"
#include "model/recommenders/cllm4rec/words/word_set.h"

namespace cllm {

struct SamplerOptions {
  LossOptions loss;
  ObjectiveOptions objective = {};
  double user_token_dropout = 0;  // probability that a history is trained without its user's token
  BatchShape shape;
  uint64_t seed = 0;
  bool only_new = false;         // only users and texts with news (Corpus::num_new, Ancestor::texts)
  int64_t max_positions = 1024;  // of the backbone
  int64_t max_items = 0;         // of a history that enter a sequence; 0: as many as positions allow
  HistoryKeep keep = HistoryKeep::kRandom;
  int64_t max_text_tokens = 0;  // 0: likewise
  HistoryDropout dropout = {};  // of L-steps
  double masking = 0.2;         // p_m: max(1, floor(p_m n)) of n training items are held out
  double item_dropout = 0;      // share of the visible items left out of a finetuning prompt
  WordSet words = {};           // that batches name, by their ids there
};

/// Names one global batch. L, C and F steps of one epoch draw different random numbers.
struct StepId {
  StepKind kind = StepKind::kCollaborative;
  int64_t stage = 0;
  int64_t epoch = 0;  // of this kind in this stage
  int64_t step = 0;   // of this epoch, 0 .. num_steps(kind) - 1
};

/// What each rank computes in each step: a pure function of (corpus, prompts, options, StepId, rank, world size). The
/// sequences and weights of a step, over all ranks, do not depend on the world size; only who computes them does.
/// Thread-safe.
class Sampler {
 public:
  /// `prompts` with the tokenizer's ids. DataError if a prompt leaves no position for anything else.
  Sampler(Corpus corpus, PromptSet prompts, const SamplerOptions& options);

  /// L and F: users with training items; C: texts.
  int64_t num_samples(StepKind kind) const;
  int64_t num_steps(StepKind kind) const { return options_.shape.num_steps(num_samples(kind)); }

  /// How many histories are longer than what fits behind the prompts, and what is done with them: a line with its end,
  /// or nothing.
  std::string describe_long_histories() const;

  /// This rank's share. Of the other ranks' sequences only the lengths are read.
  RecBatch batch(const StepId& id, int rank, int world_size) const;

  /// The global batch before it is shared out; for logs and tests.
  std::vector<PlannedSample> plan(const StepId& id) const;
  Sequence sequence(const StepId& id, const PlannedSample& planned) const;

  /// Prompts for ranking: the history of each query, as many items as fit, in an order fixed by (seed, user, `order`),
  /// or (seed, items, `order`) where no token names the user: as of user -1, a user that is not in the corpus; or in
  /// the order of the query (loss.item_order = time), or by id.
  /// One active row per user, no targets. kRecommendation: the recommendation prompt; kCollaborative: history as main
  /// text after the collaborative prompt (LLM-PreRec).
  RecBatch ranking_prompts(std::span<const RankingQuery> queries, StepKind kind = StepKind::kRecommendation,
                           int64_t order = 0) const;
  /// The same of users whose histories are their training items.
  RecBatch ranking_prompts(std::span<const int64_t> users, StepKind kind = StepKind::kRecommendation) const;

 private:
  int64_t main_length(const StepId& id, int64_t sample) const;
  int64_t load(const StepId& id, int64_t sample) const;
  int64_t items_left(const StepId& id, int64_t user) const;
  int64_t words_of(int64_t text) const;
  Sequence collaborative(const StepId& id, int64_t user) const;
  Sequence content(int64_t text) const;
  Sequence recommendation(const StepId& id, int64_t user) const;
  const PromptTemplate& text_prompt(const TextSample& text) const;
  std::vector<int32_t> positions(const StepId& id, int64_t user, int64_t main_length) const;
  const PromptTemplate& of_history(const StepId& id, int64_t user) const;
  uint64_t key(Purpose purpose, const StepId& id, int64_t sample) const;
  bool keeps_newest() const;
  void keep_some(std::vector<int32_t>& items, int64_t count, std::span<const int32_t> history) const;

  Corpus corpus_;
  Vocabulary vocabulary_;  // of batches
  PromptSet prompts_;
  PromptTemplate collaborative_without_user_, recommendation_without_user_;
  SamplerOptions options_;
  UserStream users_;
  int64_t first_text_;
  int64_t max_main_items_, max_prompt_items_, max_text_tokens_, longest_text_prompt_;
};

}  // namespace cllm
