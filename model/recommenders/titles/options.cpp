#include "model/recommenders/titles/options.h"

#include <algorithm>

namespace cllm {
namespace {

constexpr double kMaxDropout = 0.99;

Settings backbone_settings(TitlesOptions& o) {
  return {{"run.backbone",
           &o.backbone,
           "folder with config.json and model.safetensors in Hugging Face layout",
           {},
           true,
           false},
          {"run.train_backbone", &o.train_backbone, "train all of the backbone; without adapters"},
          {"run.random_backbone", &o.random_backbone, "random weights: only config.json is read"},
          {"run.recompute",
           &o.recompute,
           "the backward pass computes the backbone's activations again: less memory; same results",
           {},
           false,
           false},
          {"backbone.adapters.rank", &o.adapters.rank, "of low-rank adapters beside the frozen backbone (LoRA)",
           between(0, 4096)},
          {"backbone.adapters.alpha", &o.adapters.alpha, "what they add is multiplied by alpha / rank", at_least(0)},
          {"backbone.adapters.dropout", &o.adapters.dropout, "rate on what they see", between(0, kMaxDropout)},
          {"backbone.adapters.modules", &o.adapters.modules,
           "matrices that have one, by the end of their name; empty: queries and values"},
          {"backbone.adapters.layers", &o.adapters.layers, "layers that have them; empty: all", any_number_of_them()}};
}

Settings title_settings(TitlesOptions& o) {
  return {
      {"titles.kind", &o.texts.kind, "kind of the text that is an item's title; empty: its first text"},
      {"titles.until", &o.texts.until, "a title ends before this, e.g. \" |\"; empty: the whole text"},
      {"titles.lead", &o.texts.lead, "tokenised before every title: a blank for tokenizers of bytes"},
      {"titles.end", &o.texts.end,
       "the token that ends a title, by its text; empty: eos_token_id of the backbone, else <|endoftext|>"},
      {"titles.max_tokens", &o.texts.max_tokens, "longer titles are cut", between(1, 1 << 16)},
      {"titles.prompt", &o.prompt, "text before the titles of a history"},
      {"titles.max_titles", &o.max_titles, "titles of a history in the prompt, the newest", between(1, 1 << 16)},
      enum_setting("titles.targets", &o.targets,
                   "what a sequence is trained to write: its last title, or every title from the second on",
                   {{"last", TitleTargets::kLast}, {"all", TitleTargets::kAll}}),
      {"titles.samples", &o.samples, "sequences of a user in an epoch, each up to a random item of the history",
       between(1, 1 << 20)},
      enum_setting("titles.softmax", &o.softmax,
                   "of training: over all words, or over those that go on with a title of the corpus",
                   {{"full", TitleSoftmax::kFull}, {"restricted", TitleSoftmax::kRestricted}}),
      {"titles.temperature", &o.temperature, "of the softmax; published: 1, 4.5 with restricted", between(0.01, 1000)},
      enum_setting(
          "titles.list_softmax", &o.list_softmax, "of lists: the one that is trained, or another",
          {{"trained", ListSoftmax::kTrained}, {"full", ListSoftmax::kFull}, {"restricted", ListSoftmax::kRestricted}}),
      {"titles.beams", &o.beams, "beginnings of titles that a search keeps; at least the length of the list",
       between(1, 1 << 20)},
      {"titles.batch_users", &o.batch_users, "users of an update, of all ranks together", between(1, 1 << 24)},
      {"titles.epochs", &o.epochs, "passes over the users", between(0, 1e6)},
      {"titles.learning_rate", &o.learning_rate, "of Adam, at its highest", between(0, 1)},
      {"titles.warmup_steps", &o.warmup_steps, "updates of linear rise", at_least(0)},
      enum_setting("titles.decay", &o.decay, "of the learning rate over the updates",
                   {{"constant", EpochDecay::kConstant}, {"linear", EpochDecay::kLinear}}),
      {"titles.clip", &o.clip, "largest L2 norm of the gradient; 0: any", at_least(0)},
      {"titles.patience", &o.patience, "validations without a better state after which training ends; 0: never",
       at_least(0)}};
}

}  // namespace

TitlesOptions::TitlesOptions() {
  TeacherOptions& teacher = objective.teacher;  // as published
  teacher.form = SoftForm::kLogOutside;
  teacher.alpha = 0.05;
  teacher.beta = 1;
  teacher.popularity = 0;
}

void TitlesOptions::describe(Settings& settings) {
  Settings teacher;
  cllm::describe(objective.teacher, teacher);
  for (const Settings& section : {backbone_settings(*this), title_settings(*this), teacher})
    settings.insert(settings.end(), section.begin(), section.end());
}

std::string TitlesOptions::problem() const {
  if (backbone == "none") {
    return "run.backbone = \"none\": nothing else writes titles; name a folder with config.json and "
           "model.safetensors";
  }
  if (train_backbone && adapters.rank > 0) {
    return "run.train_backbone = true and backbone.adapters.rank = " + std::to_string(adapters.rank) +
           ": adapters stand beside a frozen backbone; set one of the two";
  }
  if (!train_backbone && adapters.rank == 0) {
    return "run.train_backbone = false and backbone.adapters.rank = 0: nothing would be trained; set one of the two";
  }
  if (objective.teacher.model == TeacherModel::kPopularity && objective.teacher.popularity == 0) {
    return "teacher.model = \"popularity\" with teacher.popularity = 0 knows no popularity: set its power, e.g. 1";
  }
  return objective.problem();
}

std::vector<SearchKey> TitlesOptions::search_space() const {
  std::vector<SearchKey> out{{.key = "titles.learning_rate", .min = 1e-4, .max = 3e-3, .log = true},
                             {.key = "titles.softmax", .choices = {"\"full\"", "\"restricted\""}}};
  if (train_backbone) return out;
  out.push_back({.key = "backbone.adapters.rank", .choices = {"4", "8", "16", "32"}});
  if (objective.teacher.model != TeacherModel::kNone)
    out.push_back({.key = "teacher.alpha", .min = 0.01, .max = 0.5, .log = true});
  return out;
}

double TitlesOptions::learning_rate_at(int64_t step, int64_t num_steps) const {
  if (step < warmup_steps) return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (decay == EpochDecay::kConstant) return learning_rate;
  const auto after = static_cast<double>(step - warmup_steps),
             all = static_cast<double>(std::max<int64_t>(1, num_steps - warmup_steps));
  return learning_rate * (1 - after / all);
}

}  // namespace cllm
