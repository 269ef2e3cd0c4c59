#include "model/recommenders/cllm4rec/preset.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "model/recommenders/cllm4rec/options.h"

namespace cllm {
namespace {

constexpr std::string_view kSection = "loss.";

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

void Cllm4recOptions::set_recipe() {
  if (recipe == "paper") return;
  const bool sets = recipe == "sets";
  objective.mask_shown = true;
  prompts.user_token = UserToken::kOff;
  lambda_collaborative = lambda_content = lambda_finetune = 0;
  optimizer.name = "lazy_adam";
  text_rows.rate = 1, text_rows.bound = 2;
  adapters.alpha = 16, adapters_rate = sets ? 3e-4 : 5e-4;  // where backbone.adapters.rank is set
  warmup.epochs = finetune.epochs = 0;
  mutual = {{.epochs = sets ? 20 : 10, .learning_rate = 3e-3, .decay = Decay::kLinear}};
  mutual.content_epochs = false;
  dropout = {.embedding = sets ? 0.35 : 0.5, .attention = 0, .residual = sets ? 0.2 : 0.1};
  if (sets) {
    objective.target = LossTarget::kSet;
    objective.teacher.model = TeacherModel::kPopularity;
    return;
  }
  loss.item_order = ItemOrder::kTime;
  objective.smoothing = {.kind = SmoothingKind::kPopularity, .weight = 0.1};
  history_dropout.items = 0.15;
  groups = 4;
}

void Cllm4recOptions::apply_presets() {
  if (preset == "release") loss = LossOptions::release();
  set_recipe();
  if (variant == "llm-cf") {
    warmup.epochs = 0;
    mutual.content_epochs = finetune.content_epochs = false;
    lambda_collaborative = lambda_content = lambda_finetune = 0;
  } else if (variant == "llm-prerec") {
    finetune.epochs = 0;
  } else if (variant == "llm-fixord") {
    loss.item_order = ItemOrder::kAscending;
  } else if (variant == "llm-ftall") {
    train_backbone = true;
  } else if (variant == "llm-scratch") {
    train_backbone = random_backbone = true;
  }
}

void describe(LossOptions& loss, Settings& settings) {
  const Settings own = {
      {"loss.train_first_main_token", &loss.train_first_main_token,
       "the last prompt position predicts the first main token"},
      enum_setting("loss.lm_reduction", &loss.lm_reduction, "token_sum is the paper's literal formula",
                   {{"token_mean", LmReduction::kTokenMean}, {"token_sum", LmReduction::kTokenSum}}),
      enum_setting(
          "loss.mr_scale", &loss.mr_scale,
          "mutual regularisation: 1/2 once per distinct id of a group, or 1 per token position",
          {{"half_per_distinct_id", MrScale::kHalfPerDistinctId}, {"sum_all_positions", MrScale::kSumAllPositions}}),
      enum_setting("loss.finetune_targets", &loss.finetune_targets, "items that finetuning predicts",
                   {{"held_out_only", FinetuneTargets::kHeldOutOnly}, {"all_train", FinetuneTargets::kAllTrain}}),
      enum_setting("loss.finetune_mr", &loss.finetune_mr, "ids that mutual regularisation covers in finetuning",
                   {{"prompt", FinetuneMr::kPrompt}, {"prompt_and_targets", FinetuneMr::kPromptAndTargets}}),
      enum_setting("loss.finetune_reduction", &loss.finetune_reduction,
                   "over the users of a group; targets of a user are summed",
                   {{"user_mean", FinetuneReduction::kUserMean}, {"user_sum", FinetuneReduction::kUserSum}}),
      enum_setting("loss.item_order", &loss.item_order,
                   "of L-step documents and prompts: redrawn every epoch, by id, or by time, oldest first",
                   {{"random", ItemOrder::kRandom}, {"ascending", ItemOrder::kAscending}, {"time", ItemOrder::kTime}}),
      enum_setting("loss.rec_prompt", &loss.rec_prompt, "which recommendation template of [prompts]",
                   {{"paper", RecPrompt::kPaper}, {"release", RecPrompt::kRelease}}),
      {"loss.content_dropout_in_finetune", &loss.content_dropout_in_finetune,
       "dropout in the content epochs of finetuning"},
      enum_setting("loss.sample_order", &loss.sample_order, "of an epoch",
                   {{"shuffled", SampleOrder::kShuffled}, {"sequential", SampleOrder::kSequential}})};
  settings.insert(settings.end(), own.begin(), own.end());
}

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
  Settings settings;
  describe(*this, settings);
  std::vector<std::string> known;
  for (const Setting& setting : settings) {
    known.push_back(setting.key.substr(kSection.size()));
    if (known.back() != field) continue;
    const bool flag = std::holds_alternative<bool*>(setting.target);
    const std::vector<std::string> allowed =
        flag ? std::vector<std::string>{"true", "false", "True", "False"} : setting.limits.choices;  // as Python writes
    if (std::ranges::find(allowed, value) == allowed.end()) {
      throw std::invalid_argument("loss option " + std::string(field) + " = '" + std::string(value) +
                                  "': allowed are " + listed(allowed));
    }
    if (flag) {
      *std::get<bool*>(setting.target) = value == "true" || value == "True";
    } else {
      std::get<Named>(setting.target).set(std::string(value));
    }
    return;
  }
  throw std::invalid_argument("unknown loss option '" + std::string(field) + "': known are " + listed(known));
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
