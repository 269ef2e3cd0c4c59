#include "model/recommenders/cllm4rec/preset.h"

#include <stdexcept>
#include <string>

namespace cllm {
namespace {

template <typename Value>
struct Choice {
  std::string_view name;
  Value value;
};

template <typename Value, size_t kCount>
void choose(Value& field, std::string_view name, std::string_view value, const Choice<Value> (&choices)[kCount]) {
  std::string allowed;
  for (const Choice<Value>& choice : choices) {
    if (choice.name == value) {
      field = choice.value;
      return;
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(choice.name);
  }
  throw std::invalid_argument("loss option " + std::string(name) + " = '" + std::string(value) + "': allowed are " +
                              allowed);
}

void choose(bool& field, std::string_view name, std::string_view value) {
  choose(field, name, value,
         {{"true", true}, {"false", false}, {"True", true}, {"False", false}});  // True: as Python writes it
}

}  // namespace

LossOptions LossOptions::release() {
  return {.train_first_main_token = false,
          .lm_reduction = LmReduction::kTokenMean,
          .mr_scale = MrScale::kSumAllPositions,
          .finetune_targets = FinetuneTargets::kAllTrain,
          .finetune_mr = FinetuneMr::kPrompt,
          .finetune_reduction = FinetuneReduction::kUserMean,
          .item_order = ItemOrder::kAscending,
          .rec_prompt = RecPrompt::kRelease,
          .content_dropout_in_finetune = false,
          .sample_order = SampleOrder::kSequential};
}

void LossOptions::set(std::string_view field, std::string_view value) {
  if (field == "train_first_main_token") return choose(train_first_main_token, field, value);
  if (field == "lm_reduction")
    return choose(lm_reduction, field, value,
                  {{"token_mean", LmReduction::kTokenMean}, {"token_sum", LmReduction::kTokenSum}});
  if (field == "mr_scale")
    return choose(
        mr_scale, field, value,
        {{"half_per_distinct_id", MrScale::kHalfPerDistinctId}, {"sum_all_positions", MrScale::kSumAllPositions}});
  if (field == "finetune_targets")
    return choose(finetune_targets, field, value,
                  {{"held_out_only", FinetuneTargets::kHeldOutOnly}, {"all_train", FinetuneTargets::kAllTrain}});
  if (field == "finetune_mr")
    return choose(finetune_mr, field, value,
                  {{"prompt_and_targets", FinetuneMr::kPromptAndTargets}, {"prompt", FinetuneMr::kPrompt}});
  if (field == "finetune_reduction")
    return choose(finetune_reduction, field, value,
                  {{"user_mean", FinetuneReduction::kUserMean}, {"user_sum", FinetuneReduction::kUserSum}});
  if (field == "item_order")
    return choose(item_order, field, value, {{"random", ItemOrder::kRandom}, {"ascending", ItemOrder::kAscending}});
  if (field == "rec_prompt")
    return choose(rec_prompt, field, value, {{"paper", RecPrompt::kPaper}, {"release", RecPrompt::kRelease}});
  if (field == "content_dropout_in_finetune") return choose(content_dropout_in_finetune, field, value);
  if (field == "sample_order")
    return choose(sample_order, field, value,
                  {{"shuffled", SampleOrder::kShuffled}, {"sequential", SampleOrder::kSequential}});
  throw std::invalid_argument(
      "unknown loss option '" + std::string(field) +
      "': known are train_first_main_token, lm_reduction, mr_scale, finetune_targets, finetune_mr, "
      "finetune_reduction, item_order, rec_prompt, content_dropout_in_finetune, sample_order");
}

LossOptions parse_preset(std::string_view text) {
  size_t end = text.find('+');
  const std::string_view base = text.substr(0, end);
  LossOptions options;
  if (base == "release") {
    options = LossOptions::release();
  } else if (base != "paper") {
    throw std::invalid_argument("unknown preset '" + std::string(base) + "': known are paper, release");
  }
  while (end != std::string_view::npos) {
    const size_t start = end + 1;
    end = text.find('+', start);
    const std::string_view change = text.substr(start, end == std::string_view::npos ? end : end - start);
    const size_t equals = change.find('=');
    if (equals == std::string_view::npos)
      throw std::invalid_argument("preset change '" + std::string(change) + "': write field=value");
    options.set(change.substr(0, equals), change.substr(equals + 1));
  }
  return options;
}

}  // namespace cllm
