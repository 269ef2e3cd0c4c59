#include <algorithm>
#include <vector>

#include "model/recommenders/cllm4rec/options.h"

namespace cllm {
namespace {

/// A misspelt {word} would be trained on as text, and a prompt that does not name whom it is about says nothing.
std::string problem_of(const PromptOptions& prompts) {
  struct Rule {
    std::string key, text;
    std::vector<std::string> needed;
  };
  for (const Rule& rule :
       std::vector<Rule>{{"collaborative", prompts.collaborative, {"{user}"}},
                         {"review", prompts.review, {}},
                         {"biography", prompts.biography, {"{user}"}},
                         {"item_content", prompts.item_content, {"{item}"}},
                         {"recommendation_paper", prompts.recommendation_paper, {"{user}", "{items}"}},
                         {"recommendation_release", prompts.recommendation_release, {"{user}", "{items}"}}}) {
    const std::string where = "prompts." + rule.key + " = \"" + rule.text + "\": ";
    for (const std::string& word : rule.needed) {
      if (rule.text.find(word) == std::string::npos) return where + word + " is missing; it stands for the ID token";
    }
    for (size_t at = 0; (at = rule.text.find('{', at)) != std::string::npos; ++at) {
      const size_t end = rule.text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
      if (end == std::string::npos || rule.text[end] != '}') continue;  // a brace of the text
      const std::string word = rule.text.substr(at, end + 1 - at);
      if (word == "{user}" || word == "{item}" || word == "{items}" || (word == "{kind}" && rule.key == "item_content"))
        continue;
      return where + word + " is unknown; known are {user}, {item}, {items}, and {kind} in item_content";
    }
  }
  return "";
}

/// Without a language model there are no words.
std::string problem_of_bag(const Cllm4recOptions& o) {
  if (o.has_backbone()) return "";
  const std::string where = "run.backbone = \"none\" ";
  if (o.train_backbone || o.random_backbone || o.adapters.rank > 0)
    return where +
           "has no weights: set run.train_backbone = false, run.random_backbone = false and "
           "backbone.adapters.rank = 0";
  if (o.warmup.epochs > 0 || (o.mutual.epochs > 0 && o.mutual.content_epochs) ||
      (o.finetune.epochs > 0 && o.finetune.content_epochs))
    return where +
           "predicts no words: set warmup.epochs = 0, mutual.content_epochs = false and "
           "finetune.content_epochs = false";
  if (o.skip > 0) return where + "is the mean of the rows already: set backbone.skip = 0";
  if (o.initial_tables == InitialTables::kTextMean)
    return where + "has no words that init.tables = \"text_mean\" could take: set \"normal\"";
  if (std::ranges::count(o.text_rows.sources(), "backbone") > 0)
    return where + "has no words for rows.text.source = \"backbone\": set \"tf-idf\"";
  return "";
}

std::string problem_of_text_rows(const Cllm4recOptions& o) {
  if (!o.text_rows.active()) return "";
  const std::string where = "rows.text.source = \"" + o.text_rows.source + "\": ";
  if (o.optimizer.name == "adam")
    return where +
           "its map moves all rows in every step, and optimizer.name = \"adam\" is behind with those that no step "
           "reads: set \"lazy_adam\"";
  if (o.lambda_collaborative > 0 || o.lambda_content > 0 || o.lambda_finetune > 0)
    return where + "mutual regularisation knows free rows only: set loss.lambda = 0";
  return "";
}

}  // namespace

std::string PromptOptions::item_prompt(const std::string& kind) const {
  std::string text = item_content;
  for (size_t at; (at = text.find("{kind}")) != std::string::npos;) text.replace(at, 6, kind);
  return text;
}

std::string Cllm4recOptions::why_no_new_items() const {
  if (text_rows.active()) return "";
  return "cllm4rec without rows of texts, in which an item without interactions is nothing: train it with "
         "rows.text.source";
}

std::string Cllm4recOptions::problem() const {
  if (warmup.epochs + mutual.epochs + finetune.epochs == 0) {
    return "warmup.epochs, mutual.epochs and finetune.epochs are all 0: nothing would be trained; set one of them";
  }
  if (train_backbone && adapters.rank > 0) {
    return "run.train_backbone = true and backbone.adapters.rank = " + std::to_string(adapters.rank) +
           ": adapters stand beside a frozen backbone; set one of the two";
  }
  if (adapters.rank > 0 && adapter_steps.empty()) {
    return "backbone.adapters.steps = []: no step would train the adapters; name some of L, C and F, or set "
           "backbone.adapters.rank = 0";
  }
  if (vocabulary == ContentVocabulary::kCorpus && (train_backbone || random_backbone)) {
    return "content.vocabulary = \"corpus\" holds a part of a pretrained, frozen word embedding: set \"full\", or both "
           "run.train_backbone and run.random_backbone to false";
  }
  if (std::string text = objective.problem(); !text.empty()) return text;
  if (orders > 1 && loss.item_order != ItemOrder::kRandom) {
    return "ranking.orders = " + std::to_string(orders) +
           " averages over random orders, but loss.item_order = \"ascending\" and \"time\" know one: set "
           "ranking.orders = 1";
  }
  if (history_dropout.history > 0 && !loss.train_first_main_token) {
    return "history.dropout = " + std::to_string(history_dropout.history) +
           " leaves the first position of a history alone, which loss.train_first_main_token = false does not train: "
           "set it to true, or history.dropout = 0";
  }
  if (std::string text = problem_of_bag(*this); !text.empty()) return text;
  if (std::string text = problem_of_text_rows(*this); !text.empty()) return text;
  if (objective.is_soft()) {
    const bool all_items = item_softmax == ItemSoftmaxChoice::kAuto || item_softmax == ItemSoftmaxChoice::kSharded;
    if (!all_items) {
      return "optimizer.item_softmax = \"sampled\" and \"gathered\" know single targets only: set \"auto\" or "
             "\"sharded\", or none of loss.target = \"set\", loss.mask_shown, loss.smoothing and teacher.model";
    }
    if (objective.mask_shown && finetune.epochs > 0 && loss.finetune_targets == FinetuneTargets::kAllTrain) {
      return "loss.mask_shown leaves no probability to items of the prompt, which loss.finetune_targets = "
             "\"all_train\" predicts: set \"held_out_only\", loss.mask_shown = false or finetune.epochs = 0";
    }
  }
  return problem_of(prompts);
}

}  // namespace cllm
