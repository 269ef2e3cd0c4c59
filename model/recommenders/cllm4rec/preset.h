#pragma once

#include <string_view>

#include "data/sampling/order.h"
#include "data/settings.h"
#include "model/recommenders/cllm4rec/history/history_items.h"

namespace cllm {

enum class LmReduction { kTokenMean, kTokenSum };
enum class MrScale { kHalfPerDistinctId, kSumAllPositions };
enum class FinetuneTargets { kHeldOutOnly, kAllTrain };
enum class FinetuneMr { kPromptAndTargets, kPrompt };
enum class FinetuneReduction { kUserMean, kUserSum };
enum class RecPrompt { kPaper, kRelease };

/// One field per row of METHOD.md §5; names and values as in reference/cllm4rec_reference.py, Preset. The defaults are
/// preset `paper`.
struct LossOptions {
  bool train_first_main_token = true;
  LmReduction lm_reduction = LmReduction::kTokenMean;
  MrScale mr_scale = MrScale::kHalfPerDistinctId;
  FinetuneTargets finetune_targets = FinetuneTargets::kHeldOutOnly;
  FinetuneMr finetune_mr = FinetuneMr::kPromptAndTargets;
  FinetuneReduction finetune_reduction = FinetuneReduction::kUserMean;
  ItemOrder item_order = ItemOrder::kRandom;
  RecPrompt rec_prompt = RecPrompt::kPaper;
  bool content_dropout_in_finetune = true;
  SampleOrder sample_order = SampleOrder::kShuffled;  // kSequential: also round-robin over the ranks

  static LossOptions paper() { return {}; }
  static LossOptions release();

  /// Sets one field, e.g. ("lm_reduction", "token_sum"). std::invalid_argument names the known fields or the allowed
  /// values.
  void set(std::string_view field, std::string_view value);

  friend bool operator==(const LossOptions&, const LossOptions&) = default;
};

/// The keys "loss.<field>", one per field.
void describe(LossOptions& loss, Settings& settings);

/// "paper", "release", or either with changed fields: "paper+lm_reduction=token_sum". std::invalid_argument as in
/// set().
LossOptions parse_preset(std::string_view text);

}  // namespace cllm
