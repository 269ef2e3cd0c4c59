#pragma once

// The run configuration: what `cllm4rec train run.toml --section.key=value` means. Every key, its limits and its
// one-line documentation stand in ONE table (config_fields.cpp), which drives parsing, printing and `--help-config`.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/recommenders/cllm4rec/preset.h"

namespace cllm {

struct RunSection {
  std::string dir = "runs/run";
  std::string corpus;
  std::string backbone;
  bool train_backbone = false;   // LLM-FtAll, LLM-Scratch
  bool random_backbone = false;  // LLM-Scratch: only config.json of the backbone is used
  int64_t seed = 0;
  std::string device = "cpu";
  std::string precision = "fp32";        // fp32 | bf16 | fp64
  std::string table_precision = "full";  // full | bf16
  bool fetch_ahead = false;
  bool recompute = false;
  int64_t graph_tokens = 0;            // 0: nothing is recorded
  std::string user_tables = "device";  // device | host
  int64_t ranks_per_node = 0;          // 0: rows travel in one level
  int64_t threads = 0;                 // 0: cores / ranks of this host
  double deadline_s = 600;
  double startup_deadline_s = 1800, load_deadline_s = 1800, save_deadline_s = 1800;
  int64_t max_restarts = 3;
  int64_t replica_check_steps = 100;
  std::string variant = "cllm4rec";
};

/// METHOD.md §5. String options have the names and values of reference/cllm4rec_reference.py, Preset.
struct LossSection {
  std::string preset = "paper";
  bool train_first_main_token = true;
  std::string lm_reduction = "token_mean";
  std::string mr_scale = "half_per_distinct_id";
  std::string finetune_targets = "held_out_only";
  std::string finetune_mr = "prompt_and_targets";
  std::string finetune_reduction = "user_mean";
  std::string item_order = "random";
  std::string rec_prompt = "paper";
  bool content_dropout_in_finetune = true;
  std::string sample_order = "shuffled";
  double lambda_collaborative = 1;  // L-steps
  double lambda_content = 1;        // C-steps
  double lambda_finetune = 1;       // finetuning steps
  int64_t group_size = 20;
  double masking = 0.2;
  double item_dropout = 0;
};

struct BatchSection {
  int64_t groups = 1;
  int64_t max_items = 0;        // 0: what the backbone's positions allow
  int64_t max_text_tokens = 0;  // 0: what the backbone's positions allow
};

struct OptimizerSection {
  std::string name = "adam";
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double backbone_scale = 1;  // learning rate of a trained backbone relative to the tables'
  std::string item_softmax = "auto";
  int64_t negatives = 4096;
};

struct InitSection {
  std::string tables = "normal";
  double std = 0.02;
  std::string run;  // "": none
};

/// Unset: the value of the next wider scope (stage -> [dropout] -> the backbone's config.json).
struct DropoutSection {
  std::optional<double> embedding, attention, residual;
};

struct StageSection {
  int64_t epochs = 0;
  double learning_rate = 1e-3;
  std::string decay = "constant";
  DropoutSection dropout = {};
};

struct MutualSection : StageSection {
  std::string schedule = "alternate";
  bool content_epochs = true;
};

struct FinetuneSection : StageSection {
  bool content_epochs = true;
  std::string select = "recall@20+recall@40+ndcg@100";
  int64_t patience = 0;
};

/// {user}, {item} and {items} become ID tokens; {kind} in item_content the kind of the text (content, title, brand,
/// ...).
struct PromptsSection {
  std::string collaborative = "{user} has interacted with";
  std::string review = "{user} wrote the following review for {item}:";
  std::string biography = "The biography of {user} is:";
  std::string item_content = "The {kind} of {item} is:";
  std::string recommendation_paper = "{user} has interacted with {items}, the user will interact with:";
  std::string recommendation_release = "{user} has interacted with {items}, {user} will interact with";
};

struct EvaluationSection {
  std::vector<int64_t> recall_k = {20, 40};
  std::vector<int64_t> ndcg_k = {100};
  int64_t every_epochs = 1;
  int64_t batch_users = 64;
};

struct CheckpointSection {
  int64_t every_steps = 0;
  double every_seconds = 600;
  int64_t keep = 2;
  int64_t milestone_steps = 0;
  std::string verify = "full";
  int64_t whole_every = 1;
};

struct LogSection {
  int64_t every_steps = 10;
  bool tensorboard = true, jsonl = true, report = true, samples = false, trace = false;
};

struct RunConfig {
  RunSection run;
  LossSection loss;
  BatchSection batch;
  OptimizerSection optimizer;
  InitSection init;
  DropoutSection dropout = {};
  StageSection warmup{.epochs = 10};
  MutualSection mutual{{.epochs = 100}};
  FinetuneSection finetune{{.epochs = 150, .learning_rate = 1e-4}};
  PromptsSection prompts;
  EvaluationSection evaluation;
  CheckpointSection checkpoint;
  LogSection log;
};

/// Reads `path` ("": no file) and then the overrides ("--section.key=value" or "section.key=value") in order.
/// run.variant and loss.preset are looked up first, because they set other defaults. Paths are relative to the working
/// directory. Throws ConfigError (file:line or the override, key, value, allowed values or the nearest known key).
RunConfig load_config(const std::string& path, std::span<const std::string> overrides);

/// The resolved configuration: every key that has a value. load_config of this text gives the same configuration.
std::string to_toml(const RunConfig& config);

/// 16 hex digits over the keys that shape the result: not run.dir, threads, deadlines, [checkpoint] and [log].
std::string config_digest(const RunConfig& config);

/// The list of `--help-config`: section, key, default, meaning, allowed values.
std::string config_help();

LossOptions loss_options(const LossSection& loss);

/// The template of texts of this kind about an item alone.
std::string item_prompt(const PromptsSection& prompts, const std::string& kind);

/// The rates of a stage: its own value, else [dropout], else `backbone_rates` (config.json of the backbone).
struct DropoutRates {
  double embedding = 0, attention = 0, residual = 0;
};
DropoutRates stage_dropout(const RunConfig& config, const StageSection& stage, const DropoutRates& backbone_rates);

/// Learning rate of `step` of `num_steps`: constant; linear to 0; half a cosine to 0. Steps count from 0.
double stage_learning_rate(const StageSection& stage, int64_t step, int64_t num_steps);

}  // namespace cllm
