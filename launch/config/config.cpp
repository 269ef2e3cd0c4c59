#include "launch/config/config.h"

#include <algorithm>
#include <set>

#include "launch/config/paths.h"
#include "launch/config/text.h"
#include "launch/config/tune_section.h"
#include "launch/config/written.h"
#include "launch/failures/errors.h"
#include "model/recommenders/registry.h"

namespace cllm {
namespace {

Settings settings_of(ModelOptions& options) {
  Settings settings;
  options.describe(settings);
  return settings;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Model& model : models()) names.emplace_back(model.name);
  return names;
}

/// Another model that has this key; "" if none has.
std::string model_with(const std::string& key) {
  for (const Model& model : models()) {
    const auto options = model.options();
    const Settings settings = settings_of(*options);
    if (std::ranges::find(settings, key, &Setting::key) != settings.end()) return std::string(model.name);
  }
  return "";
}

void apply(const Written& written, const Settings& settings) {
  const auto setting = std::ranges::find(settings, written.key, &Setting::key);
  if (setting != settings.end()) return assign(written, *setting);
  const std::string unknown = written.where + ": unknown key " + written.key + "; ", owner = model_with(written.key);
  if (!owner.empty()) throw ConfigError(unknown + "it belongs to model.name = \"" + owner + "\"");
  std::vector<std::string> keys;
  for (const Setting& known : settings) keys.push_back(known.key);
  throw ConfigError(unknown + "the nearest known key is " + nearest(written.key, keys) +
                    " (all keys: cllm4rec train --help-config)");
}

/// The setting of model.name; it decides which other keys there are.
Setting model_setting(RunConfig& config) {
  return {"model.name", &config.model, "what is trained; it has keys of its own", one_of(model_names())};
}

/// Every key, in the order in which they are printed and digested. Keys of one section come together; within [run]
/// launch's and the model's keys mix.
Settings settings_of(RunConfig& config) {
  static const std::vector<std::string> kRunKeys = {
      "run.dir",  "run.corpus", "run.backbone",  "run.train_backbone", "run.random_backbone",
      "run.seed", "run.device", "run.precision", "run.table_precision"};
  Settings all, last;
  describe(config.run, all);
  all.push_back(model_setting(config));
  config.options->describe(all);
  describe(config.init, all);
  describe(config.data, all);
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

/// Which key chooses the best state, and by what.
std::string choice_of_state(const RunConfig& config) {
  const std::string value = "\"" + config.select() + "\"";
  if (!config.evaluation.select.empty()) return "evaluation.select = " + value;
  Settings keys;
  config.options->describe(keys);
  const auto own = std::ranges::find_if(keys, [](const Setting& setting) { return setting.key.ends_with(".select"); });
  if (own != keys.end()) return own->key + " = " + value;
  return "evaluation.select is not set, and " + config.model + " chooses by " + value;
}

/// "recall@20+ndcg@100": every term must be among the metrics that are computed.
void check_select(const RunConfig& config) {
  const MetricList computed = config.evaluation.metric_list();
  const std::vector<std::string> names = computed.names();
  const std::set<std::string> known(names.begin(), names.end());
  for (const std::string& term : split(config.select(), '+')) {
    if (known.contains(term)) continue;
    throw ConfigError(choice_of_state(config) + ": " + term + " is not computed; [evaluation] gives " +
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
    const std::string value = printed(field);
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
    throw ConfigError("model.name = \"" + model + "\": expected one of the names (" + join(model_names(), " | ") + ")");
  }
  RunConfig config;
  config.model = model;
  config.options = found->options();
  return config;
}

RunConfig load_config(const std::string& path, std::span<const std::string> overrides) {
  const WrittenSettings written(path, overrides);
  RunConfig config;
  const auto apply_key = [&](const std::string& key, const Settings& settings) {
    for (const Written& one : written.all()) {
      if (one.key == key) apply(one, settings);
    }
  };
  apply_key("model.name", {model_setting(config)});
  config.options = find_model(config.model)->options();
  const Settings settings = settings_of(config);
  for (const std::string& key : config.options->leading_keys()) apply_key(key, settings);
  apply_key("run.device", settings);
  config.run.fetch_ahead = config.run.device == "cuda";
  config.options->apply_presets();
  for (const Written& one : written.all()) {
    if (!one.key.starts_with("tune.")) apply(one, settings);  // of `tune` (tune_section.h)
  }
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
  if (const auto* text = std::get_if<std::string*>(&found->target)) return **text;
  if (const auto* named = std::get_if<Named>(&found->target)) return named->get();
  return printed(*found);
}

Settings all_settings(RunConfig& config) { return settings_of(config); }

std::string config_digest(const RunConfig& config) {
  RunConfig copy = config, defaults = default_config(config.model);
  const Settings fields = settings_of(copy), unchanged = settings_of(defaults);
  std::string text;  // only what differs from the defaults: a key that a later version adds does not change the digest
  for (size_t n = 0; n < fields.size(); ++n) {
    const std::string value = printed(fields[n]);
    const bool named = fields[n].key == "model.name" && config.model != RunConfig().model;
    if (fields[n].shapes_result && (named || value != printed(unchanged[n])))
      text += fields[n].key + " = " + value + "\n";
  }
  return digest_of_text(text);
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
    const std::string value = printed(field), range = allowed(field.limits);
    text +=
        key + field.doc + (range.empty() ? "" : " (" + range + ")") + (value.empty() ? "" : " [" + value + "]") + "\n";
  }
  return text;
}

}  // namespace

std::string config_help() {
  std::string text = "Keys of the TOML file; on the command line --section.key=value. Default in brackets.\n";
  RunConfig defaults = default_config(RunConfig().model);
  const Settings first = settings_of(defaults);
  text += help_of(first);
  for (const Model& model : models()) {
    if (model.name == defaults.model) continue;
    const auto options = model.options();
    Settings own;
    std::string shared;  // keys that the default model has, too
    for (const Setting& setting : settings_of(*options)) {
      const auto same = std::ranges::find(first, setting.key, &Setting::key);
      if (same == first.end()) {
        own.push_back(setting);
        continue;
      }
      shared += (shared.empty() ? "" : ", ") + setting.key;
      if (const std::string value = printed(setting); value != printed(*same)) shared += " [" + value + "]";
    }
    text += "\nmodel.name = \"" + std::string(model.name) + "\": " + std::string(model.summary) + "\n" + help_of(own);
    if (!shared.empty()) text += "As above, but for the defaults in brackets: " + shared + "\n";
  }
  return text + tune_help();
}

}  // namespace cllm
