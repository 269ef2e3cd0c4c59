#include "launch/config/config.h"

#include <toml++/toml.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <numbers>
#include <set>
#include <sstream>

#include "launch/config/config_fields.h"
#include "launch/failures/errors.h"
#include "launch/output/text.h"

namespace cllm {
namespace {

/// One `key = value` of the file or of the command line, with the words that tell a person where it stands.
struct Setting {
  std::string where;  // "run.toml:12" or "--loss.lambda"
  std::string name;   // "section.key"
  const toml::node* value;
};

std::string quoted(const std::string& text) {
  std::ostringstream out;
  out << toml::value<std::string>(text);
  return out.str();
}

/// Shortest decimal that reads back as the same double, with a point or exponent so that TOML takes it as a float.
std::string number(double value) {
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

std::string allowed(const Limits& limits) {
  if (!limits.choices.empty()) return join(limits.choices, " | ");
  const bool below = std::isfinite(limits.max), above = std::isfinite(limits.min);
  if (above && below) return format_number(limits.min) + " to " + format_number(limits.max);
  return above ? "at least " + format_number(limits.min) : "";
}

[[noreturn]] void refuse(const Setting& setting, const ConfigField& field, const std::string& expected) {
  std::ostringstream value;
  value << toml::node_view<const toml::node>(setting.value);
  const std::string range = allowed(field.limits);
  throw ConfigError(setting.where + ": " + setting.name + " = " + value.str() + ": expected " + expected +
                    (range.empty() ? "" : " (" + range + ")"));
}

double checked(double value, const Setting& setting, const ConfigField& field) {
  if (!std::isfinite(value)) refuse(setting, field, "a finite number");
  if (!(value >= field.limits.min && value <= field.limits.max)) refuse(setting, field, "a number in range");
  return value;
}

/// Writes the setting into the field; one overload per type of value.
struct Assign {
  const Setting& setting;
  const ConfigField& field;

  void operator()(bool* target) const {
    if (!setting.value->is_boolean()) refuse(setting, field, "true or false");
    *target = **setting.value->as_boolean();
  }
  void operator()(int64_t* target) const {
    if (!setting.value->is_integer()) refuse(setting, field, "an integer");
    *target = **setting.value->as_integer();
    checked(static_cast<double>(*target), setting, field);
  }
  void operator()(double* target) const {
    if (!setting.value->is_number()) refuse(setting, field, "a number");
    *target = checked(*setting.value->value<double>(), setting, field);
  }
  void operator()(std::optional<double>* target) const {
    double value = 0;
    (*this)(&value);
    *target = value;
  }
  void operator()(std::string* target) const {
    if (!setting.value->is_string()) refuse(setting, field, "a text in quotes");
    *target = **setting.value->as_string();
    const auto& choices = field.limits.choices;
    if (!choices.empty() && std::ranges::find(choices, *target) == choices.end())
      refuse(setting, field, "one of the names");
  }
  void operator()(std::vector<int64_t>* target) const {
    const toml::array* list = setting.value->as_array();
    if (!list || list->empty() || !list->is_homogeneous<int64_t>()) refuse(setting, field, "a list of integers");
    target->clear();
    for (const auto& value : *list) {
      target->push_back(*value.value<int64_t>());
      checked(static_cast<double>(target->back()), setting, field);
    }
  }
  void operator()(const SetsAll& all) const {
    for (double* target : all.targets) (*this)(target);
  }
};

/// The value as TOML text; empty if there is nothing to print.
struct Print {
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const int64_t* value) const { return std::to_string(*value); }
  std::string operator()(const double* value) const { return number(*value); }
  std::string operator()(const std::optional<double>* value) const { return *value ? number(**value) : ""; }
  std::string operator()(const std::string* value) const { return quoted(*value); }
  std::string operator()(const std::vector<int64_t>* values) const {
    std::vector<std::string> texts;
    for (int64_t value : *values) texts.push_back(std::to_string(value));
    return "[" + join(texts, ", ") + "]";
  }
  std::string operator()(const SetsAll&) const { return ""; }
};

void collect(const toml::table& table, const std::string& prefix, const std::string& file, std::vector<Setting>& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      collect(*inner, name + ".", file, out);
    } else {
      out.push_back({file + ":" + std::to_string(node.source().begin.line), name, &node});
    }
  }
}

/// The file's settings in the order of its lines (a toml::table is sorted by name), so that the last word wins within a
/// file too.
std::vector<Setting> file_settings(const toml::table& table, const std::string& file) {
  std::vector<Setting> settings;
  collect(table, "", file, settings);
  std::ranges::stable_sort(settings, {}, [](const Setting& s) { return s.value->source().begin.line; });
  return settings;
}

toml::table parse_file(const std::string& path) {
  if (!std::filesystem::exists(path) || std::filesystem::is_directory(path)) {  // a pipe is welcome
    throw ConfigError(path + ": no such file; give a TOML file, and settings as --section.key=value");
  }
  try {
    return toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    const auto line = error.source().begin.line;
    throw ConfigError(path + (line ? ":" + std::to_string(line) : "") + ": " + std::string(error.description()));
  }
}

/// The value as a text. What the file that stores the configuration could not hold is refused here.
toml::table text_value(const std::string& name, const std::string& value) {
  try {
    return toml::parse("value = " + quoted(value));
  } catch (const toml::parse_error& error) {
    throw ConfigError("--" + name + ": the value is no text that a TOML file can hold (" +
                      std::string(error.description()) + ")");
  }
}

/// "--section.key=value", or --device=value for --run.device=value and --verify=value for --checkpoint.verify=value. A
/// value that is no TOML value is taken as a text, so that run.dir=runs/a needs no quotes in a shell.
toml::table parse_override(const std::string& text, std::string& name) {
  const size_t equals = text.find('=');
  const size_t start = text.starts_with("--") ? 2 : 0;
  if (equals == std::string::npos || equals <= start) throw ConfigError(text + ": an override is --section.key=value");
  name = text.substr(start, equals - start);
  if (name == "device") name = "run.device";
  if (name == "verify") name = "checkpoint.verify";
  const std::string value = text.substr(equals + 1);
  try {
    return toml::parse("value = " + value);
  } catch (const toml::parse_error&) {
    return text_value(name, value);
  }
}

void apply(const Setting& setting, std::vector<ConfigField>& fields) {
  const auto field = std::ranges::find(fields, setting.name, &ConfigField::name);
  if (field != fields.end()) {
    std::visit(Assign{setting, *field}, field->target);
    return;
  }
  std::vector<std::string> names;
  for (const auto& known : fields) names.push_back(known.name);
  throw ConfigError(setting.where + ": unknown key " + setting.name + "; the nearest known key is " +
                    nearest(setting.name, names) + " (all keys: cllm4rec train --help-config)");
}

/// "recall@20+ndcg@100": every term must be among the metrics that are computed.
void check_select(const RunConfig& config) {
  std::set<std::string> known;
  for (int64_t k : config.evaluation.recall_k) known.insert("recall@" + std::to_string(k));
  for (int64_t k : config.evaluation.ndcg_k) known.insert("ndcg@" + std::to_string(k));
  for (const std::string& term : split(config.finetune.select, '+')) {
    if (known.contains(term)) continue;
    throw ConfigError("finetune.select = \"" + config.finetune.select + "\": " + term +
                      " is not computed; [evaluation] gives " + join({known.begin(), known.end()}, ", "));
  }
}

/// A misspelt {word} would be trained on as text, and a prompt that does not name whom it is about says nothing.
void check_prompts(const PromptsSection& prompts) {
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
      if (rule.text.find(word) == std::string::npos)
        throw ConfigError(where + word + " is missing; it stands for the ID token");
    }
    for (size_t at = 0; (at = rule.text.find('{', at)) != std::string::npos; ++at) {
      const size_t end = rule.text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
      if (end == std::string::npos || rule.text[end] != '}') continue;  // a brace of the text
      const std::string word = rule.text.substr(at, end + 1 - at);
      if (word == "{user}" || word == "{item}" || word == "{items}" || (word == "{kind}" && rule.key == "item_content"))
        continue;
      throw ConfigError(where + word + " is unknown; known are {user}, {item}, {items}, and {kind} in item_content");
    }
  }
}

void check(RunConfig& config) {
  for (const auto& field : config_fields(config)) {
    if (field.required && std::get<std::string*>(field.target)->empty()) {
      throw ConfigError(field.name + " is not set: " + field.doc + "; give it in the file or as --" + field.name +
                        "=...");
    }
  }
  if (config.warmup.epochs + config.mutual.epochs + config.finetune.epochs == 0) {
    throw ConfigError(
        "warmup.epochs, mutual.epochs and finetune.epochs are all 0: nothing would be trained; set one of them");
  }
  if (config.run.graph_tokens > 0 &&
      (config.run.precision != "bf16" || config.run.train_backbone || config.run.device == "cpu")) {
    throw ConfigError(
        "run.graph_tokens = " + std::to_string(config.run.graph_tokens) +
        " records passes of a frozen backbone on a GPU: set run.precision = \"bf16\", run.train_backbone = false and "
        "--device=cuda, or run.graph_tokens = 0");
  }
  if (config.run.table_precision == "bf16" && config.run.precision == "fp64") {
    throw ConfigError(
        "run.table_precision = \"bf16\" and run.precision = \"fp64\" exclude each other: choose \"fp32\" or \"bf16\"");
  }
  if (config.run.user_tables == "host" && config.run.device == "cpu") {
    throw ConfigError(
        "run.user_tables = \"host\" needs run.device = \"cuda\": on the CPU all tables are in the host's memory "
        "anyway");
  }
  check_select(config);
  check_prompts(config.prompts);
}

std::string text_of(RunConfig& config) {
  std::string text, section;
  for (const auto& field : config_fields(config)) {
    const std::string value = std::visit(Print{}, field.target);
    if (value.empty()) continue;
    const size_t dot = field.name.rfind('.');
    if (field.name.substr(0, dot) != section) {
      section = field.name.substr(0, dot);
      text += (text.empty() ? "[" : "\n[") + section + "]\n";
    }
    text += field.name.substr(dot + 1) + " = " + value + "\n";
  }
  return text;
}

}  // namespace

RunConfig load_config(const std::string& path, std::span<const std::string> overrides) {
  const toml::table file = path.empty() ? toml::table() : parse_file(path);
  std::vector<Setting> settings = file_settings(file, path);
  std::vector<toml::table> tables;
  tables.reserve(overrides.size());
  for (const std::string& text : overrides) {
    std::string name;
    tables.push_back(parse_override(text, name));
    settings.push_back({"--" + name, name, tables.back().get("value")});
  }

  RunConfig config;
  std::vector<ConfigField> fields = config_fields(config);
  const auto apply_named = [&](const std::string& name) {
    for (const auto& setting : settings) {
      if (setting.name == name) apply(setting, fields);
    }
  };
  apply_named("loss.preset");
  apply_named("run.variant");
  apply_named("run.device");
  apply_device(config, config.run.device);
  apply_preset(config, config.loss.preset);
  apply_variant(config, config.run.variant);
  for (const auto& setting : settings) apply(setting, fields);
  check(config);
  return config;
}

std::string to_toml(const RunConfig& config) {
  RunConfig copy = config;  // the table binds to a mutable configuration
  return text_of(copy);
}

std::string config_digest(const RunConfig& config) {
  RunConfig copy = config, defaults;
  const auto fields = config_fields(copy), unchanged = config_fields(defaults);
  std::string
      text;  // only what differs from the defaults, so that a key that a later version adds does not change the digest
  for (size_t n = 0; n < fields.size(); ++n) {
    const std::string value = std::visit(Print{}, fields[n].target);
    if (fields[n].shapes_result && value != std::visit(Print{}, unchanged[n].target))
      text += fields[n].name + " = " + value + "\n";
  }
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  return digits;
}

std::string config_help() {
  RunConfig defaults;
  std::string text = "Keys of the TOML file; on the command line --section.key=value. Default in brackets.\n", section;
  for (const auto& field : config_fields(defaults)) {
    const size_t dot = field.name.rfind('.');
    if (field.name.substr(0, dot) != section) {
      section = field.name.substr(0, dot);
      text += "\n[" + section + "]\n";
    }
    std::string key = "  " + field.name.substr(dot + 1);
    key.resize(std::max<size_t>(key.size() + 1, 32), ' ');
    const std::string value = std::visit(Print{}, field.target), range = allowed(field.limits);
    text +=
        key + field.doc + (range.empty() ? "" : " (" + range + ")") + (value.empty() ? "" : " [" + value + "]") + "\n";
  }
  return text;
}

LossOptions loss_options(const LossSection& loss) {
  LossOptions options;
  options.set("train_first_main_token", loss.train_first_main_token ? "true" : "false");
  options.set("lm_reduction", loss.lm_reduction);
  options.set("mr_scale", loss.mr_scale);
  options.set("finetune_targets", loss.finetune_targets);
  options.set("finetune_mr", loss.finetune_mr);
  options.set("finetune_reduction", loss.finetune_reduction);
  options.set("item_order", loss.item_order);
  options.set("rec_prompt", loss.rec_prompt);
  options.set("content_dropout_in_finetune", loss.content_dropout_in_finetune ? "true" : "false");
  options.set("sample_order", loss.sample_order);
  return options;
}

std::string item_prompt(const PromptsSection& prompts, const std::string& kind) {
  std::string text = prompts.item_content;
  for (size_t at; (at = text.find("{kind}")) != std::string::npos;) text.replace(at, 6, kind);
  return text;
}

DropoutRates stage_dropout(const RunConfig& config, const StageSection& stage, const DropoutRates& backbone_rates) {
  const auto rate = [&](std::optional<double> DropoutSection::*member, double fallback) {
    return (stage.dropout.*member).value_or((config.dropout.*member).value_or(fallback));
  };
  return {rate(&DropoutSection::embedding, backbone_rates.embedding),
          rate(&DropoutSection::attention, backbone_rates.attention),
          rate(&DropoutSection::residual, backbone_rates.residual)};
}

double stage_learning_rate(const StageSection& stage, int64_t step, int64_t num_steps) {
  if (stage.decay == "constant" || num_steps <= 0) return stage.learning_rate;
  const double done = static_cast<double>(step) / static_cast<double>(num_steps);
  if (stage.decay == "linear") return stage.learning_rate * (1 - done);
  return stage.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

}  // namespace cllm
