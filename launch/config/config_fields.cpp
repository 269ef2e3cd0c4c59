#include "launch/config/config_fields.h"

namespace cllm {
namespace {

using Fields = std::vector<ConfigField>;

// Dropout and decays of 1 divide by zero; the list of epochs is held in memory.
constexpr double kMaxDropout = 0.99, kMaxDecay = 0.999999, kMaxEpochs = 1e6;

void append(Fields& fields, const Fields& more) { fields.insert(fields.end(), more.begin(), more.end()); }

Limits one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }
Limits at_least(double min) { return {.min = min}; }
Limits between(double min, double max) { return {.min = min, .max = max}; }

Fields run_fields(RunSection& run) {
  return {
      {"run.dir",
       &run.dir,
       "folder of this run's outputs; training continues from its newest checkpoint",
       {},
       true,
       false},
      {"run.corpus", &run.corpus, "corpus folder made by `cllm4rec prepare`", {}, true, false},
      {"run.backbone",
       &run.backbone,
       "folder with config.json and model.safetensors in Hugging Face layout",
       {},
       true,
       false},
      {"run.train_backbone", &run.train_backbone, "train the backbone as well (LLM-FtAll, LLM-Scratch)"},
      {"run.random_backbone", &run.random_backbone,
       "start from random weights: only config.json is read (LLM-Scratch)"},
      {"run.seed", &run.seed, "every random choice is a function of it", at_least(0)},
      {"run.device", &run.device, "where ranks compute; --device=cuda is short for it", one_of({"cpu", "cuda"}), false,
       false},
      {"run.precision", &run.precision, "of the backbone: fp32 or bf16; fp64: of everything",
       one_of({"fp32", "bf16", "fp64"})},
      {"run.table_precision", &run.table_precision,
       "bf16: rows are kept and travel in bf16, their updates are rounded stochastically; full: fp32 (fp64 with that "
       "run.precision)",
       one_of({"full", "bf16"})},
      {"run.ranks_per_node", &run.ranks_per_node,
       "rows travel in two levels: inside nodes of so many ranks, then once per node between them; 0: in one level",
       between(0, 4096), false, false},
      {"run.fetch_ahead",
       &run.fetch_ahead,
       "rows of the next step travel beneath this one, gradients beneath the next; same results; the default of a GPU "
       "run",
       {},
       false,
       false},
      {"run.recompute",
       &run.recompute,
       "the backward pass computes the backbone's activations again: less memory, a third more time; same results",
       {},
       false,
       false},
      {"run.graph_tokens", &run.graph_tokens,
       "the backbone's passes over up to so many tokens are recorded as CUDA graphs, once per shape, and played: for "
       "backbones "
       "so small "
       "that the GPU waits for the host; 0: none",
       between(0, 1 << 30), false, false},
      {"run.user_tables", &run.user_tables,
       "where rows of users are on a GPU run; host: in memory of the host, which the GPU reads and updates over its "
       "bus",
       one_of({"device", "host"}), false, false},
      {"run.threads", &run.threads, "compute threads of a rank; 0: cores / ranks of the host", between(0, 4096), false,
       false},
      {"run.deadline_s", &run.deadline_s,
       "seconds after which a step, or a block of a validation, counts as hung; 0: never", at_least(0), false, false},
      {"run.startup_deadline_s", &run.startup_deadline_s, "the same for opening corpus and backbone", at_least(0),
       false, false},
      {"run.load_deadline_s", &run.load_deadline_s, "the same for finding and loading a checkpoint", at_least(0), false,
       false},
      {"run.save_deadline_s", &run.save_deadline_s, "the same for a save", at_least(0), false, false},
      {"run.max_restarts", &run.max_restarts,
       "restarts without a new checkpoint before the run refuses to start (exit code 78); 0: no limit", at_least(0),
       false, false},
      {"run.replica_check_steps", &run.replica_check_steps,
       "steps between comparisons of what all ranks hold alike (the backbone, its optimiser's state); also before "
       "every save; 0: "
       "never",
       at_least(0), false, false},
      {"run.variant", &run.variant, "METHOD.md §8; sets the defaults of other keys",
       one_of({"cllm4rec", "llm-cf", "llm-prerec", "llm-fixord", "llm-ftall", "llm-scratch"})},
  };
}

Fields loss_fields(LossSection& loss) {
  return {
      {"loss.preset", &loss.preset, "METHOD.md §5; sets the defaults of the keys below", one_of({"paper", "release"})},
      {"loss.train_first_main_token", &loss.train_first_main_token,
       "the last prompt position predicts the first main token"},
      {"loss.lm_reduction", &loss.lm_reduction, "token_sum is the paper's literal formula",
       one_of({"token_mean", "token_sum"})},
      {"loss.mr_scale", &loss.mr_scale,
       "mutual regularisation: 1/2 once per distinct id of a group, or 1 per token position",
       one_of({"half_per_distinct_id", "sum_all_positions"})},
      {"loss.finetune_targets", &loss.finetune_targets, "items that finetuning predicts",
       one_of({"held_out_only", "all_train"})},
      {"loss.finetune_mr", &loss.finetune_mr, "ids that mutual regularisation covers in finetuning",
       one_of({"prompt", "prompt_and_targets"})},
      {"loss.finetune_reduction", &loss.finetune_reduction, "over the users of a group; targets of a user are summed",
       one_of({"user_mean", "user_sum"})},
      {"loss.item_order", &loss.item_order, "of L-step documents and prompts: redrawn every epoch, or by id",
       one_of({"random", "ascending"})},
      {"loss.rec_prompt", &loss.rec_prompt, "which recommendation template of [prompts]", one_of({"paper", "release"})},
      {"loss.content_dropout_in_finetune", &loss.content_dropout_in_finetune,
       "dropout in the content epochs of finetuning"},
      {"loss.sample_order", &loss.sample_order, "of an epoch", one_of({"shuffled", "sequential"})},
      {"loss.lambda", SetsAll{{&loss.lambda_collaborative, &loss.lambda_content, &loss.lambda_finetune}},
       "sets the three below; with token_mean, 1 weighs T times (T active tokens of a group) the paper's lambda = 1",
       at_least(0)},
      {"loss.lambda_collaborative", &loss.lambda_collaborative, "weight of mutual regularisation in L-steps",
       at_least(0)},
      {"loss.lambda_content", &loss.lambda_content, "weight of mutual regularisation in C-steps", at_least(0)},
      {"loss.lambda_finetune", &loss.lambda_finetune, "weight of mutual regularisation in finetuning steps",
       at_least(0)},
      {"loss.group_size", &loss.group_size, "sequences over which losses are normalised", between(1, 1 << 20)},
      {"loss.masking", &loss.masking, "share of a history that finetuning holds out", between(0, 1)},
      {"loss.item_dropout", &loss.item_dropout, "share of visible items left out of a finetuning prompt",
       between(0, 1)},
  };
}

Fields batch_fields(BatchSection& batch) {
  return {
      {"batch.groups", &batch.groups, "groups in a global batch, whatever the number of ranks", between(1, 1 << 20)},
      {"batch.max_items", &batch.max_items,
       "items of a history that are used; 0: as many as the backbone has positions", at_least(0)},
      {"batch.max_text_tokens", &batch.max_text_tokens, "tokens of a text that are used; 0: likewise", at_least(0)},
  };
}

Fields optimizer_fields(OptimizerSection& optimizer, InitSection& init) {
  return {
      {"optimizer.name", &optimizer.name, "adam: the semantics of dense Adam at the cost of the touched rows",
       one_of({"adam", "lazy_adam", "rowwise_adagrad", "sgd"})},
      {"optimizer.beta1", &optimizer.beta1, "decay of Adam's first moment", between(0, kMaxDecay)},
      {"optimizer.beta2", &optimizer.beta2, "decay of Adam's second moment", between(0, kMaxDecay)},
      {"optimizer.epsilon", &optimizer.epsilon, "added to the root of the second moment", at_least(0)},
      {"optimizer.backbone_scale", &optimizer.backbone_scale,
       "learning rate of a trained backbone relative to the tables'", at_least(0)},
      {"optimizer.item_softmax", &optimizer.item_softmax,
       "hidden states travel to the table's shards, the table is gathered, or the sum over the items is estimated from "
       "negatives; "
       "auto: sharded, or sampled where that takes more than the backbone and there are 64 items or more per negative",
       one_of({"auto", "sharded", "gathered", "sampled"})},
      {"optimizer.negatives", &optimizer.negatives,
       "items drawn per step for item_softmax = sampled, shared by all positions", between(1, 1 << 24)},
      {"init.tables", &init.tables, "random rows, or item rows from the mean word embedding of their text",
       one_of({"normal", "text_mean"})},
      {"init.std", &init.std, "standard deviation of random rows", at_least(0)},
      {"init.run", &init.run,
       "start from the best state of another run on the same corpus, e.g. to finetune it in another way"},
  };
}

Fields dropout_fields(const std::string& scope, DropoutSection& dropout) {
  const std::string unset = scope == "dropout" ? "; unset: the backbone's config.json" : "; unset: [dropout]";
  return {
      {scope + ".embedding", &dropout.embedding, "rate after the input embedding" + unset, between(0, kMaxDropout)},
      {scope + ".attention", &dropout.attention, "rate on attention probabilities" + unset, between(0, kMaxDropout)},
      {scope + ".residual", &dropout.residual, "rate before each residual addition" + unset, between(0, kMaxDropout)},
  };
}

/// The keys all stages share, then `own`, then the stage's dropout (a sub-table, so it must come last in the file).
Fields stage_fields(const std::string& name, StageSection& stage, Fields own) {
  Fields fields = {
      {name + ".epochs", &stage.epochs, "0 leaves the stage out", between(0, kMaxEpochs)},
      {name + ".learning_rate", &stage.learning_rate, "at the start of the stage", at_least(0)},
      {name + ".decay", &stage.decay, "of the learning rate over the stage", one_of({"constant", "cosine", "linear"})},
  };
  append(fields, own);
  append(fields, dropout_fields(name + ".dropout", stage.dropout));
  return fields;
}

Fields mutual_fields(MutualSection& mutual) {
  return stage_fields(
      "mutual", mutual,
      {{"mutual.schedule", &mutual.schedule, "L epoch then C epoch, or step by step in proportion to the corpora",
        one_of({"alternate", "interleave"})},
       {"mutual.content_epochs", &mutual.content_epochs, "false: L-steps only"}});
}

Fields finetune_fields(FinetuneSection& finetune) {
  return stage_fields(
      "finetune", finetune,
      {{"finetune.content_epochs", &finetune.content_epochs, "a content epoch after each finetuning epoch"},
       {"finetune.select", &finetune.select,
        "sum of validation metrics whose best state is kept, e.g. recall@20+ndcg@100"},
       {"finetune.patience", &finetune.patience, "validations without a better state before the stage ends; 0: never",
        at_least(0)}});
}

Fields prompt_fields(PromptsSection& prompts) {
  return {
      {"prompts.collaborative", &prompts.collaborative, "prompt of a history; {user} becomes the ID token"},
      {"prompts.review", &prompts.review, "prompt of a text of {user} about {item}"},
      {"prompts.biography", &prompts.biography, "prompt of a text of {user}"},
      {"prompts.item_content", &prompts.item_content,
       "prompt of a text of {item}; {kind} becomes content, title, brand, ..."},
      {"prompts.recommendation_paper", &prompts.recommendation_paper,
       "recommendation prompt when loss.rec_prompt = paper"},
      {"prompts.recommendation_release", &prompts.recommendation_release,
       "recommendation prompt when loss.rec_prompt = release"},
  };
}

Fields output_fields(EvaluationSection& evaluation, CheckpointSection& checkpoint, LogSection& log) {
  return {
      {"evaluation.recall_k", &evaluation.recall_k, "cut-offs of Recall@K", at_least(1)},
      {"evaluation.ndcg_k", &evaluation.ndcg_k, "cut-offs of NDCG@K", at_least(1)},
      {"evaluation.every_epochs", &evaluation.every_epochs, "epochs between validations; 0: only at the end of a stage",
       at_least(0)},
      {"evaluation.batch_users", &evaluation.batch_users, "users ranked at a time by a rank", between(1, 1 << 20),
       false, false},
      {"checkpoint.every_steps", &checkpoint.every_steps, "steps between checkpoints; 0: not by steps", at_least(0),
       false, false},
      {"checkpoint.every_seconds", &checkpoint.every_seconds, "seconds between checkpoints; 0: not by time",
       at_least(0), false, false},
      {"checkpoint.keep", &checkpoint.keep, "newest checkpoints that stay, besides the best one and milestones",
       at_least(2), false, false},
      {"checkpoint.milestone_steps", &checkpoint.milestone_steps,
       "a checkpoint every so many steps that stays for ever; 0: none", at_least(0), false, false},
      {"checkpoint.whole_every", &checkpoint.whole_every,
       "every n-th checkpoint is whole, those between hold the rows changed since; 1: all whole", at_least(1), false,
       false},
      {"checkpoint.verify", &checkpoint.verify,
       "at start: every byte of the newest checkpoint, or manifest, sizes and the blocks that are loaded; "
       "--verify=quick is "
       "short for it",
       one_of({"full", "quick"}), false, false},
      {"log.every_steps", &log.every_steps, "steps between records of the loss", at_least(1), false, false},
      {"log.tensorboard", &log.tensorboard, "write TensorBoard event files to <dir>/tensorboard", {}, false, false},
      {"log.jsonl", &log.jsonl, "write <dir>/metrics.jsonl", {}, false, false},
      {"log.report", &log.report, "write <dir>/report.html at the end", {}, false, false},
      {"log.samples", &log.samples, "write <dir>/samples.txt, the keys of every step's sequences", {}, false, false},
      {"log.trace",
       &log.trace,
       "a table of the time of a step's phases after every epoch, and NVTX ranges; a GPU waits at each",
       {},
       false,
       false},
  };
}

}  // namespace

std::vector<ConfigField> config_fields(RunConfig& config) {
  Fields all;
  for (const Fields& section :
       {run_fields(config.run), loss_fields(config.loss), batch_fields(config.batch),
        optimizer_fields(config.optimizer, config.init), dropout_fields("dropout", config.dropout),
        stage_fields("warmup", config.warmup, {}), mutual_fields(config.mutual), finetune_fields(config.finetune),
        prompt_fields(config.prompts), output_fields(config.evaluation, config.checkpoint, config.log)}) {
    append(all, section);
  }
  return all;
}

void apply_preset(RunConfig& config, const std::string& preset) {
  config.loss.preset = preset;
  if (preset != "release") return;  // `paper` is the default of every member
  LossSection& loss = config.loss;
  loss.train_first_main_token = false;
  loss.mr_scale = "sum_all_positions";
  loss.finetune_targets = "all_train";
  loss.finetune_mr = "prompt";
  loss.item_order = "ascending";
  loss.rec_prompt = "release";
  loss.content_dropout_in_finetune = false;
  loss.sample_order = "sequential";
}

void apply_device(RunConfig& config, const std::string& device) {
  config.run.device = device;
  config.run.fetch_ahead = device == "cuda";
}

void apply_variant(RunConfig& config, const std::string& variant) {
  config.run.variant = variant;
  if (variant == "llm-cf") {
    config.warmup.epochs = 0;
    config.mutual.content_epochs = config.finetune.content_epochs = false;
    config.loss.lambda_collaborative = config.loss.lambda_content = config.loss.lambda_finetune = 0;
  } else if (variant == "llm-prerec") {
    config.finetune.epochs = 0;
  } else if (variant == "llm-fixord") {
    config.loss.item_order = "ascending";
  } else if (variant == "llm-ftall") {
    config.run.train_backbone = true;
  } else if (variant == "llm-scratch") {
    config.run.train_backbone = config.run.random_backbone = true;
  }
}

}  // namespace cllm
