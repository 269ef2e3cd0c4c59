#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/nn/adapter.h"
#include "model/recommenders/cllm4rec/objective/objective.h"
#include "model/recommenders/model_options.h"
#include "model/recommenders/user_epochs.h"

namespace cllm {

/// Over all words, or over those that go on with a title of the corpus.
enum class TitleSoftmax { kFull, kRestricted };
/// The softmax that scores lists; kTrained: the one that is trained.
enum class ListSoftmax { kTrained, kFull, kRestricted };
/// What a sequence of titles is trained to write: its last title, or each from the second on.
enum class TitleTargets { kLast, kAll };

/// How an item is called.
struct TitleTexts {
  std::string kind;         // of its text; "": its first
  std::string until;        // the title ends before this; "": nowhere
  std::string lead = " ";   // tokenised before a title, as a word within a text
  std::string end;          // one token that ends a title; "": that of the backbone
  int64_t max_tokens = 16;  // without the end
};

/// [titles]: a language model that writes the title of the next item (MODELS.md §11, §15, §31).
struct TitlesOptions : ModelOptions {
  // [run]
  std::string backbone;  // Hugging Face folder
  bool train_backbone = false, random_backbone = false, recompute = false;
  // [backbone.adapters]
  AdapterOptions adapters{.rank = 8, .alpha = 16, .dropout = 0.05};
  // [titles]
  TitleTexts texts;
  std::string prompt;       // before the titles of a history
  int64_t max_titles = 10;  // of a history, the newest
  TitleTargets targets = TitleTargets::kLast;
  int64_t samples = 1;  // ends of a history that an epoch draws
  TitleSoftmax softmax = TitleSoftmax::kFull;
  double temperature = 1;  // of the softmax
  ListSoftmax list_softmax = ListSoftmax::kTrained;
  int64_t beams = 20;
  int64_t batch_users = 16, epochs = 10, warmup_steps = 20, patience = 0;
  double learning_rate = 1e-4, clip = 1;
  EpochDecay decay = EpochDecay::kLinear;
  // [teacher]
  ObjectiveOptions objective;  // of which only the teacher is set

  TitlesOptions();
  void describe(Settings& settings) override;
  std::string problem() const override;
  std::string why_no_new_items() const override { return ""; }  // it writes their titles
  std::vector<SearchKey> search_space() const override;
  std::vector<std::string> keys_of_state() const override {
    return {"run.train_backbone", "backbone.adapters.rank", "backbone.adapters.modules", "backbone.adapters.layers"};
  }
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<TitlesOptions>(*this); }

  /// A rise over warmup_steps, then constant or linear to 0. Steps count from 0.
  double learning_rate_at(int64_t step, int64_t num_steps) const;
  bool lists_are_restricted() const {
    if (list_softmax == ListSoftmax::kTrained) return softmax == TitleSoftmax::kRestricted;
    return list_softmax == ListSoftmax::kRestricted;
  }
};

}  // namespace cllm
