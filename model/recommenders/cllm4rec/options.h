#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/losses/item_logits.h"
#include "model/losses/softmax_head.h"
#include "model/nn/adapter.h"
#include "model/nn/packed_layout.h"
#include "model/recommenders/cllm4rec/history/history_items.h"
#include "model/recommenders/cllm4rec/objective/objective.h"
#include "model/recommenders/cllm4rec/preset.h"
#include "model/recommenders/cllm4rec/text/text_options.h"
#include "model/recommenders/cllm4rec/words/word_set.h"
#include "model/recommenders/model_options.h"
#include "model/tables/row_optimizer.h"

namespace cllm {

/// Unset: the value of the next wider scope (stage -> [dropout] -> the backbone's config.json).
struct DropoutOptions {
  std::optional<double> embedding, attention, residual;
};

enum class Decay { kConstant, kLinear, kCosine };

struct StageOptions {
  int64_t epochs = 0;
  double learning_rate = 1e-3;
  Decay decay = Decay::kConstant;
  DropoutOptions dropout = {};
};

enum class MutualSchedule { kAlternate, kInterleave };

struct MutualOptions : StageOptions {
  MutualSchedule schedule = MutualSchedule::kAlternate;
  bool content_epochs = true;
};

struct FinetuneOptions : StageOptions {
  bool content_epochs = true;
  std::string select = "recall@20+recall@40+ndcg@100";
  int64_t patience = 0;
};

/// Where the user's own ID token stands in the prompts of histories: always, never, or in training not with a
/// probability, so that a user without a row can be asked for.
enum class UserToken { kOn, kOff, kDropped };

/// The token of the beginning before every sequence; kAuto: what the tokenizer puts before a text, if anything.
enum class StartToken { kAuto, kOn, kOff };

/// {user}, {item} and {items} become ID tokens; {kind} in item_content the kind of the text (content, title, …).
struct PromptOptions {
  std::string collaborative = "{user} has interacted with";
  std::string review = "{user} wrote the following review for {item}:";
  std::string biography = "The biography of {user} is:";
  std::string item_content = "The {kind} of {item} is:";
  std::string recommendation_paper = "{user} has interacted with {items}, the user will interact with:";
  std::string recommendation_release = "{user} has interacted with {items}, {user} will interact with";

  StartToken bos = StartToken::kAuto;
  UserToken user_token = UserToken::kOn;  // of collaborative and recommendation
  double user_token_dropout = 0.5;        // of kDropped

  /// The template of texts of this kind about an item alone.
  std::string item_prompt(const std::string& kind) const;
};

/// Where the item softmax takes its sum from; kAuto: model/README.md, Softmax.
enum class ItemSoftmaxChoice { kAuto, kSharded, kGathered, kSampled };

enum class InitialTables { kNormal, kTextMean };

/// What METHOD.md §4 to §6 leave open. Defaults: preset `paper`.
struct Cllm4recOptions : ModelOptions {
  // [run]
  std::string backbone;          // Hugging Face folder, or "none": a bag of rows (bag/bag_backbone.h)
  int64_t bag_width = 256;       // of none
  double skip = 0;               // weight of the mean of the rows beside what the backbone makes of them
  double input_gradient = 1;     // what of the gradient of a backbone's inputs the rows get
  bool train_backbone = false;   // LLM-FtAll, LLM-Scratch
  bool random_backbone = false;  // LLM-Scratch: only config.json of the backbone is read
  bool recompute = false;
  // [backbone.adapters]
  AdapterOptions adapters;
  double adapters_rate = 1e-4;                            // learning rate where the stage's is at its start
  std::vector<std::string> adapter_steps{"L", "C", "F"};  // kinds that train them
  int64_t graph_tokens = 0;                               // 0: nothing is recorded
  std::string recipe = "paper", variant = "cllm4rec";
  // [loss]
  std::string preset = "paper";
  LossOptions loss;
  HeadKind head = HeadKind::kDot;
  double temperature = 0.1;                                                  // of kCosine
  ObjectiveOptions objective;                                                // [teacher] too
  double lambda_collaborative = 1, lambda_content = 1, lambda_finetune = 1;  // in L-, C-, finetuning steps
  int64_t group_size = 20;
  double masking = 0.2, item_dropout = 0;
  // [batch]
  int64_t groups = 1;
  int64_t max_items = 0, max_text_tokens = 0;  // 0: what the backbone's positions allow
  // [content]
  ContentVocabulary vocabulary = ContentVocabulary::kFull;
  // [history]
  HistoryKeep keep = HistoryKeep::kRandom;
  HistoryDropout history_dropout;
  // [optimizer]
  OptimizerConfig optimizer;
  double backbone_scale = 1;  // learning rate of a trained backbone relative to the tables'
  ItemSoftmaxChoice item_softmax = ItemSoftmaxChoice::kAuto;
  int64_t negatives = 4096;
  // [init]
  InitialTables initial_tables = InitialTables::kNormal;
  double initial_std = 0.02;
  // [rows.text]
  TextRowsOptions text_rows;
  // [ranking]
  int64_t orders = 1;
  // [dropout], [warmup], [mutual], [finetune], [prompts]
  DropoutOptions dropout;
  StageOptions warmup{.epochs = 10};
  MutualOptions mutual{{.epochs = 100}};
  FinetuneOptions finetune{{.epochs = 150, .learning_rate = 1e-4}};
  PromptOptions prompts;

  void describe(Settings& settings) override;
  std::vector<std::string> leading_keys() const override { return {"run.recipe", "loss.preset", "run.variant"}; }
  void apply_presets() override;
  std::string problem() const override;
  std::string select() const override { return finetune.select; }
  std::string why_no_new_items() const override;
  std::vector<std::string> keys_of_state() const override {
    return {"optimizer.name",
            "loss.head",
            "rows.text.source",
            "rows.text.dims",
            "run.train_backbone",
            "backbone.adapters.rank",
            "backbone.adapters.modules",
            "backbone.adapters.layers",
            "content.vocabulary"};
  }
  std::vector<SearchKey> search_space() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<Cllm4recOptions>(*this); }

  /// What was best on validation of public data (tests/benchmarks/RESULTS.md): histories as sets, or in their order.
  void set_recipe();
  bool has_backbone() const { return backbone != "none"; }
  /// The rates of a stage: its own, else [dropout], else `of_backbone`.
  Dropout dropout_of(const StageOptions& stage, const Dropout& of_backbone) const;
};

/// Learning rate of `step` of `num_steps`: constant; linear to 0; half a cosine to 0. Steps count from 0.
double learning_rate_at(const StageOptions& stage, int64_t step, int64_t num_steps);

}  // namespace cllm
