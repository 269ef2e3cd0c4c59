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

#include "launch/config/text.h"
#include "launch/failures/errors.h"
#include "model/recommenders/registry.h"

namespace cllm {
namespace {

/// One `key = value` of the file or of the command line, with the words that tell a person where it stands.
struct Written {
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

[[noreturn]] void refuse(const Written& setting, const Setting& field, const std::string& expected) {
  std::ostringstream value;
  value << toml::node_view<const toml::node>(setting.value);
  const std::string range = allowed(field.limits);
  throw ConfigError(setting.where + ": " + setting.name + " = " + value.str() + ": expected " + expected +
                    (range.empty() ? "" : " (" + range + ")"));
}

double checked(double value, const Written& setting, const Setting& field) {
  if (!std::isfinite(value)) refuse(setting, field, "a finite number");
  if (!(value >= field.limits.min && value <= field.limits.max)) refuse(setting, field, "a number in range");
  return value;
}

/// Writes the setting into the field; one overload per type of value.
struct Assign {
  const Written& setting;
  const Setting& field;

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
  void operator()(std::vector<std::string>* target) const {
    const toml::array* list = setting.value->as_array();
    if (!list || !list->is_homogeneous<std::string>()) refuse(setting, field, "a list of texts in quotes");
    target->clear();
    for (const auto& value : *list) target->push_back(*value.value<std::string>());
  }
  void operator()(const Named& named) const {
    std::string name;
    (*this)(&name);
    named.set(name);
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
  std::string operator()(const std::vector<std::string>* values) const {
    std::vector<std::string> texts;
    for (const std::string& value : *values) texts.push_back(quoted(value));
    return "[" + join(texts, ", ") + "]";
  }
  std::string operator()(const Named& named) const { return quoted(named.get()); }
  std::string operator()(const SetsAll&) const { return ""; }
};

void collect(const toml::table& table, const std::string& prefix, const std::string& file, std::vector<Written>& out) {
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
std::vector<Written> file_settings(const toml::table& table, const std::string& file) {
  std::vector<Written> settings;
  collect(table, "", file, settings);
  std::ranges::stable_sort(settings, {}, [](const Written& s) { return s.value->source().begin.line; });
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

std::string model_with(const std::string& key) {
  for (const Model& model : models()) {
    Settings settings;
    const auto options = model.options();
    options->describe(settings);
    if (std::ranges::find(settings, key, &Setting::key) != settings.end()) return std::string(model.name);
  }
  return "";
}

void apply(const Written& setting, Settings& fields) {
  const auto field = std::ranges::find(fields, setting.name, &Setting::key);
  if (field != fields.end()) {
    std::visit(Assign{setting, *field}, field->target);
    return;
  }
  const std::string owner = model_with(setting.name);
  if (!owner.empty()) {
    throw ConfigError(setting.where + ": " + setting.name + " is a key of model.name = \"" + owner +
                      "\": choose that model, or leave the key out");
  }
  std::vector<std::string> names;
  for (const auto& known : fields) names.push_back(known.key);
  throw ConfigError(setting.where + ": unknown key " + setting.name + "; the nearest known key is " +
                    nearest(setting.name, names) + " (all keys: cllm4rec train --help-config)");
}

/// Every key, in the order in which they are printed and digested. Keys of one section come together; within [run]
/// launch's and the model's keys mix.
Settings settings_of(RunConfig& config) {
  static const std::vector<std::string> kRunKeys = {
      "run.dir",  "run.corpus", "run.backbone",  "run.train_backbone", "run.random_backbone",
      "run.seed", "run.device", "run.precision", "run.table_precision"};
  Settings all, last;
  describe(config.run, all);
  std::vector<std::string> names;
  for (const Model& model : models()) names.emplace_back(model.name);
  all.push_back({"model.name", &config.model, "what is trained; it has keys of its own", one_of(names)});
  config.options->describe(all);
  describe(config.init, all);
  describe(config.evaluation, last);
  describe(config.checkpoint, last);
  describe(config.log, last);
  all.insert(all.end(), last.begin(), last.end());
  std::vector<std::string> sections;
  const auto place = [&](const Setting& setting) {
    const std::string section = setting.key.substr(0, setting.key.rfind('.'));
    const auto at = std::ranges::find(sections, section) - sections.begin();
    if (at == std::ssize(sections)) sections.push_back(section);
    const auto key = std::ranges::find(kRunKeys, setting.key) - kRunKeys.begin();
    return std::pair{at, key};
  };
  for (const Setting& setting : all) place(setting);
  std::ranges::stable_sort(all, {}, place);
  return all;
}

/// "recall@20+ndcg@100": every term must be among the metrics that are computed.
void check_select(const RunConfig& config) {
  const MetricList computed = config.evaluation.metric_list();
  const std::vector<std::string> names = computed.names();
  const std::set<std::string> known(names.begin(), names.end());
  const std::string key = config.evaluation.select.empty() ? "finetune.select" : "evaluation.select";
  for (const std::string& term : split(config.select(), '+')) {
    if (known.contains(term)) continue;
    throw ConfigError(key + " = \"" + config.select() + "\": " + term + " is not computed; [evaluation] gives " +
                      join({known.begin(), known.end()}, ", "));
  }
}

void check(RunConfig& config) {
  for (const auto& field : settings_of(config)) {
    if (field.required && std::get<std::string*>(field.target)->empty()) {
      throw ConfigError(field.key + " is not set: " + field.doc + "; give it in the file or as --" + field.key +
                        "=...");
    }
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
  const std::string problem = config.options->problem();
  if (!problem.empty()) throw ConfigError(problem);
}

std::string text_of(RunConfig& config) {
  std::string text, section;
  for (const auto& field : settings_of(config)) {
    const std::string value = std::visit(Print{}, field.target);
    if (value.empty()) continue;
    const size_t dot = field.key.rfind('.');
    if (field.key.substr(0, dot) != section) {
      section = field.key.substr(0, dot);
      text += (text.empty() ? "[" : "\n[") + section + "]\n";
    }
    text += field.key.substr(dot + 1) + " = " + value + "\n";
  }
  return text;
}

}  // namespace

RunConfig default_config(const std::string& model) {
  const Model* const found = find_model(model);
  if (found == nullptr) {
    std::vector<std::string> names;
    for (const Model& known : models()) names.emplace_back(known.name);
    throw ConfigError("model.name = \"" + model + "\": expected one of the names (" + join(names, " | ") + ")");
  }
  RunConfig config;
  config.model = model;
  config.options = found->options();
  return config;
}

RunConfig load_config(const std::string& path, std::span<const std::string> overrides) {
  const toml::table file = path.empty() ? toml::table() : parse_file(path);
  std::vector<Written> settings = file_settings(file, path);
  std::vector<toml::table> tables;
  tables.reserve(overrides.size());
  for (const std::string& text : overrides) {
    std::string name;
    tables.push_back(parse_override(text, name));
    settings.push_back({"--" + name, name, tables.back().get("value")});
  }
  std::string model = RunConfig().model;
  for (const Written& setting : settings) {
    if (setting.name == "model.name" && setting.value->is_string()) model = **setting.value->as_string();
  }
  RunConfig config = default_config(model);
  Settings fields = settings_of(config);
  std::vector<std::string> leading = config.options->leading_keys();
  leading.emplace_back("run.device");
  for (const std::string& name : leading) {
    for (const Written& setting : settings) {
      if (setting.name == name) apply(setting, fields);
    }
  }
  config.run.fetch_ahead = config.run.device == "cuda";
  config.options->apply_presets();
  for (const Written& setting : settings) apply(setting, fields);
  check(config);
  return config;
}

std::string to_toml(const RunConfig& config) {
  RunConfig copy = config;  // the table binds to a mutable configuration
  return text_of(copy);
}

std::string value_of(const RunConfig& config, const std::string& key) {
  RunConfig copy = config;
  const Settings settings = settings_of(copy);
  const auto found = std::ranges::find(settings, key, &Setting::key);
  if (found == settings.end()) throw ConfigError(key + " is no key of model.name = \"" + config.model + "\"");
  std::string value = std::visit(Print{}, found->target);
  std::erase(value, '"');
  return value;
}

std::string config_digest(const RunConfig& config) {
  RunConfig copy = config, defaults = default_config(config.model);
  const Settings fields = settings_of(copy), unchanged = settings_of(defaults);
  std::string text;  // only what differs from the defaults: a key that a later version adds does not change the digest
  for (size_t n = 0; n < fields.size(); ++n) {
    const std::string value = std::visit(Print{}, fields[n].target);
    const bool named = fields[n].key == "model.name" && config.model != RunConfig().model;
    if (fields[n].shapes_result && (named || value != std::visit(Print{}, unchanged[n].target)))
      text += fields[n].key + " = " + value + "\n";
  }
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  return digits;
}

namespace {

std::string help_of(const Settings& settings) {
  std::string text, section;
  for (const auto& field : settings) {
    const size_t dot = field.key.rfind('.');
    if (field.key.substr(0, dot) != section) {
      section = field.key.substr(0, dot);
      text += "\n[" + section + "]\n";
    }
    std::string key = "  " + field.key.substr(dot + 1);
    key.resize(std::max<size_t>(key.size() + 1, 32), ' ');
    const std::string value = std::visit(Print{}, field.target), range = allowed(field.limits);
    text +=
        key + field.doc + (range.empty() ? "" : " (" + range + ")") + (value.empty() ? "" : " [" + value + "]") + "\n";
  }
  return text;
}

}  // namespace

std::string config_help() {
  std::string text = "Keys of the TOML file; on the command line --section.key=value. Default in brackets.\n";
  RunConfig defaults = default_config(RunConfig().model);
  text += help_of(settings_of(defaults));
  for (const Model& model : models()) {
    if (model.name == defaults.model) continue;
    Settings settings;
    const auto options = model.options();
    options->describe(settings);
    text +=
        "\nmodel.name = \"" + std::string(model.name) + "\": " + std::string(model.summary) + "\n" + help_of(settings);
  }
  return text;
}

}  // namespace cllm
