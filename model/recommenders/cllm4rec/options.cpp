#include "model/recommenders/cllm4rec/options.h"

#include <cmath>
#include <numbers>

namespace cllm {
namespace {

constexpr double kMaxDropout = 0.99, kMaxEpochs = 1e6;  // dropout of 1 divides by zero; epochs are held in memory

void append(Settings& settings, const Settings& more) { settings.insert(settings.end(), more.begin(), more.end()); }

Settings run_settings(Cllm4recOptions& o) {
  return {
      {"run.backbone",
       &o.backbone,
       "folder with config.json and model.safetensors in Hugging Face layout; none: no language model, a hidden state "
       "is "
       "the mean of the rows before it (a control)",
       {},
       true,
       false},
      {"run.train_backbone", &o.train_backbone, "train the backbone as well (LLM-FtAll, LLM-Scratch)"},
      {"run.random_backbone", &o.random_backbone,
       "random weights, frozen (a control) or trained (LLM-Scratch): only config.json is read"},
      {"run.recompute",
       &o.recompute,
       "the backward pass computes the backbone's activations again: less memory, a third more time; same results",
       {},
       false,
       false},
      {"run.graph_tokens", &o.graph_tokens,
       "the backbone's passes over up to so many tokens are recorded as CUDA graphs, once per shape, and played: for "
       "backbones so small that the GPU waits for the host; 0: none",
       between(0, 1 << 30), false, false},
      {"run.recipe", &o.recipe,
       "sets the defaults of other keys: the paper's, or what was best on validation of public data; sets: the items "
       "still missing of a history in any order; sequence: the next item in the order of time",
       one_of({"paper", "sets", "sequence"})},
      {"run.variant", &o.variant, "a variant of the ablation of the paper (WWW 2024); sets the defaults of other keys",
       one_of({"cllm4rec", "llm-cf", "llm-prerec", "llm-fixord", "llm-ftall", "llm-scratch"})}};
}

Settings adapter_settings(Cllm4recOptions& o) {
  return {{"backbone.width", &o.bag_width, "of rows, of run.backbone = none", between(1, 65536)},
          {"backbone.skip", &o.skip,
           "weight of the mean of the rows before a position, which is added to the hidden state that predicts items",
           at_least(0)},
          {"backbone.input_gradient", &o.input_gradient,
           "share of the gradient of the backbone's inputs that rows get, beside their own as outputs; a deep backbone "
           "that scales its inputs drowns the one in the other",
           between(0, 1)},
          {"backbone.adapters.rank", &o.adapters.rank,
           "of low-rank adapters beside the frozen backbone (LoRA); 0: none", between(0, 4096)},
          {"backbone.adapters.alpha", &o.adapters.alpha, "what they add is multiplied by alpha / rank", at_least(0)},
          {"backbone.adapters.dropout", &o.adapters.dropout, "rate on what they see", between(0, kMaxDropout)},
          {"backbone.adapters.modules", &o.adapters.modules,
           "matrices that have one, by the end of their name; empty: queries and values"},
          {"backbone.adapters.layers", &o.adapters.layers, "layers that have them; empty: all", any_number_of_them()},
          {"backbone.adapters.learning_rate", &o.adapters_rate, "at the start of a stage; it falls as the stage's does",
           at_least(0)},
          {"backbone.adapters.steps", &o.adapter_steps, "kinds of steps that train them: L, C, F",
           one_of({"L", "C", "F"})}};
}

Settings loss_settings(Cllm4recOptions& o) {
  Settings out = {{"loss.preset", &o.preset,
                   "losses as the paper has them, or its released code; sets the defaults of the keys below",
                   one_of({"paper", "release"})}};
  describe(o.loss, out);
  append(
      out,
      {{"loss.lambda", SetsAll{{&o.lambda_collaborative, &o.lambda_content, &o.lambda_finetune}},
        "sets the three below; with token_mean, 1 weighs T times (T active tokens of a group) the paper's lambda = 1",
        at_least(0)},
       {"loss.lambda_collaborative", &o.lambda_collaborative, "weight of mutual regularisation in L-steps",
        at_least(0)},
       {"loss.lambda_content", &o.lambda_content, "weight of mutual regularisation in C-steps", at_least(0)},
       {"loss.lambda_finetune", &o.lambda_finetune, "weight of mutual regularisation in finetuning steps", at_least(0)},
       {"loss.group_size", &o.group_size, "sequences over which losses are normalised", between(1, 1 << 20)},
       {"loss.masking", &o.masking, "share of a history that finetuning holds out", between(0, 1)},
       {"loss.item_dropout", &o.item_dropout, "share of visible items left out of a finetuning prompt",
        between(0, 1)}});
  append(out, {enum_setting(
                   "loss.head", &o.head,
                   "how a hidden state and an item's row make a logit: their product, that with the state "
                   "standardised by dimension (mean and deviation of 256 sequences at the start), or their "
                   "cosine over a temperature",
                   {{"dot", HeadKind::kDot}, {"standardised", HeadKind::kStandardised}, {"cosine", HeadKind::kCosine}}),
               {"loss.temperature", &o.temperature, "of head = cosine", between(0.01, 10)}});
  describe(o.objective, out);  // with a sub-table, so it must come last in the file
  return out;
}

Settings batch_settings(Cllm4recOptions& o) {
  return {{"batch.groups", &o.groups, "groups in a global batch, whatever the number of ranks", between(1, 1 << 20)},
          {"batch.max_items", &o.max_items,
           "items of a history that are used; 0: as many as the backbone has positions", at_least(0)},
          {"batch.max_text_tokens", &o.max_text_tokens, "tokens of a text that are used; 0: likewise", at_least(0)}};
}

Settings content_settings(Cllm4recOptions& o) {
  return {
      enum_setting("content.vocabulary", &o.vocabulary,
                   "words that C-steps predict over: all of the backbone, or those that occur in the corpus' texts; "
                   "then only rows of these and of the prompts' words are held",
                   {{"full", ContentVocabulary::kFull}, {"corpus", ContentVocabulary::kCorpus}})};
}

Settings history_settings(Cllm4recOptions& o) {
  return {enum_setting("history.keep", &o.keep,
                       "what is used of a history that is longer than batch.max_items or the backbone's positions: a "
                       "random choice (in ascending order: the lowest ids), or its newest items",
                       {{"random", HistoryKeep::kRandom}, {"newest", HistoryKeep::kNewest}}),
          {"history.item_dropout", &o.history_dropout.items,
           "share of a history's items that an L-step leaves out, drawn anew every epoch; with loss.target = set they "
           "stay targets",
           between(0, kMaxDropout)},
          {"history.dropout", &o.history_dropout.history,
           "probability that an L-step trains the first position of a history alone, where the prompt is all that is "
           "known of the user",
           between(0, 1)}};
}

Settings optimizer_settings(Cllm4recOptions& o) {
  Settings out;
  describe(o.optimizer, out);
  append(out,
         {{"optimizer.backbone_scale", &o.backbone_scale, "learning rate of a trained backbone relative to the tables'",
           at_least(0)},
          enum_setting(
              "optimizer.item_softmax", &o.item_softmax,
              "hidden states travel to the table's shards, the table is gathered, or the sum over the "
              "items is estimated from "
              "negatives; auto: sharded, or sampled where that takes more than the backbone and there are 64 items "
              "or more per negative",
              {{"auto", ItemSoftmaxChoice::kAuto},
               {"sharded", ItemSoftmaxChoice::kSharded},
               {"gathered", ItemSoftmaxChoice::kGathered},
               {"sampled", ItemSoftmaxChoice::kSampled}}),
          {"optimizer.negatives", &o.negatives,
           "items drawn per step for item_softmax = sampled, shared by all positions", between(1, 1 << 24)},
          enum_setting("init.tables", &o.initial_tables,
                       "random rows, or item rows from the mean word embedding of their text",
                       {{"normal", InitialTables::kNormal}, {"text_mean", InitialTables::kTextMean}}),
          {"init.std", &o.initial_std, "standard deviation of random rows", at_least(0)}});
  return out;
}

Settings dropout_settings(const std::string& scope, DropoutOptions& dropout) {
  const std::string unset = scope == "dropout" ? "; unset: the backbone's config.json" : "; unset: [dropout]";
  return {
      {scope + ".embedding", &dropout.embedding, "rate after the input embedding" + unset, between(0, kMaxDropout)},
      {scope + ".attention", &dropout.attention, "rate on attention probabilities" + unset, between(0, kMaxDropout)},
      {scope + ".residual", &dropout.residual, "rate before each residual addition" + unset, between(0, kMaxDropout)},
  };
}

/// The keys all stages share, then `own`, then the stage's dropout (a sub-table, so it must come last in the file).
Settings stage_settings(const std::string& name, StageOptions& stage, const Settings& own) {
  Settings out = {
      {name + ".epochs", &stage.epochs, "0 leaves the stage out", between(0, kMaxEpochs)},
      {name + ".learning_rate", &stage.learning_rate, "at the start of the stage", at_least(0)},
      enum_setting(name + ".decay", &stage.decay, "of the learning rate over the stage",
                   {{"constant", Decay::kConstant}, {"cosine", Decay::kCosine}, {"linear", Decay::kLinear}})};
  append(out, own);
  append(out, dropout_settings(name + ".dropout", stage.dropout));
  return out;
}

Settings mutual_settings(MutualOptions& mutual) {
  return stage_settings(
      "mutual", mutual,
      {enum_setting("mutual.schedule", &mutual.schedule,
                    "L epoch then C epoch, or step by step in proportion to the corpora",
                    {{"alternate", MutualSchedule::kAlternate}, {"interleave", MutualSchedule::kInterleave}}),
       {"mutual.content_epochs", &mutual.content_epochs, "false: L-steps only"}});
}

Settings finetune_settings(FinetuneOptions& finetune) {
  return stage_settings(
      "finetune", finetune,
      {{"finetune.content_epochs", &finetune.content_epochs, "a content epoch after each finetuning epoch"},
       {"finetune.select", &finetune.select,
        "sum of validation metrics whose best state is kept, e.g. recall@20+ndcg@100"},
       {"finetune.patience", &finetune.patience, "validations without a better state before the stage ends; 0: never",
        at_least(0)}});
}

Settings prompt_settings(Cllm4recOptions& o) {
  return {{"prompts.collaborative", &o.prompts.collaborative, "prompt of a history; {user} becomes the ID token"},
          {"prompts.review", &o.prompts.review, "prompt of a text of {user} about {item}"},
          {"prompts.biography", &o.prompts.biography, "prompt of a text of {user}"},
          {"prompts.item_content", &o.prompts.item_content,
           "prompt of a text of {item}; {kind} becomes content, title, brand, ..."},
          {"prompts.recommendation_paper", &o.prompts.recommendation_paper,
           "recommendation prompt when loss.rec_prompt = paper"},
          {"prompts.recommendation_release", &o.prompts.recommendation_release,
           "recommendation prompt when loss.rec_prompt = release"},
          enum_setting("prompts.bos", &o.prompts.bos,
                       "the token of the beginning before every prompt; auto: what the tokenizer puts before a text",
                       {{"auto", StartToken::kAuto}, {"on", StartToken::kOn}, {"off", StartToken::kOff}}),
          enum_setting("prompts.user_token", &o.prompts.user_token,
                       "{user} in the prompts of histories: on, off, or dropped: in training left out with a "
                       "probability",
                       {{"on", UserToken::kOn}, {"off", UserToken::kOff}, {"dropped", UserToken::kDropped}}),
          {"prompts.user_token_dropout", &o.prompts.user_token_dropout, "that probability", between(0, 1)}};
}

Settings ranking_settings(Cllm4recOptions& o) {
  return {{"ranking.orders", &o.orders,
           "random orders of a history over which scores are averaged; each costs a pass of the backbone",
           between(1, 1024)}};
}

Settings text_settings(Cllm4recOptions& o) {
  Settings out;
  describe(o.text_rows, out);
  return out;
}

Settings teacher_settings(Cllm4recOptions& o) {
  Settings out;
  describe(o.objective.teacher, out);
  return out;
}

}  // namespace

void Cllm4recOptions::describe(Settings& settings) {
  for (const Settings& section :
       {run_settings(*this), adapter_settings(*this), loss_settings(*this), batch_settings(*this),
        content_settings(*this), history_settings(*this), optimizer_settings(*this),
        dropout_settings("dropout", dropout), stage_settings("warmup", warmup, {}), mutual_settings(mutual),
        finetune_settings(finetune), prompt_settings(*this), ranking_settings(*this), text_settings(*this),
        teacher_settings(*this)}) {
    append(settings, section);
  }
}

Dropout Cllm4recOptions::dropout_of(const StageOptions& stage, const Dropout& of_backbone) const {
  const auto rate = [&](std::optional<double> DropoutOptions::*member, double fallback) {
    return (stage.dropout.*member).value_or((dropout.*member).value_or(fallback));
  };
  return {rate(&DropoutOptions::embedding, of_backbone.embedding),
          rate(&DropoutOptions::attention, of_backbone.attention),
          rate(&DropoutOptions::residual, of_backbone.residual)};
}

double learning_rate_at(const StageOptions& stage, int64_t step, int64_t num_steps) {
  if (stage.decay == Decay::kConstant || num_steps <= 0) return stage.learning_rate;
  const double done = static_cast<double>(step) / static_cast<double>(num_steps);
  if (stage.decay == Decay::kLinear) return stage.learning_rate * (1 - done);
  return stage.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace cllm
