#include "launch/config/tune_section.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>

#include "launch/config/paths.h"
#include "launch/config/text.h"
#include "launch/config/written.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

constexpr std::string_view kSection = "tune.", kSpace = "tune.space.";
constexpr const char* kForms = "expected a list of values, or {min = a, max = b} with log = true if it is wanted";

/// A key of the space as it was written, in one piece or in three.
struct Searched {
  std::string where = {};
  std::optional<double> min = {}, max = {};
  bool log = false;
  std::vector<std::string> choices = {};
};

std::string text_of(const toml::node& node) {
  std::ostringstream out;
  out << toml::node_view<const toml::node>(node);
  return out.str();
}

void read_bound(Searched& into, const std::string& name, const toml::node& node, const std::string& place) {
  if (name == "log" && node.is_boolean()) {
    into.log = **node.as_boolean();
  } else if ((name == "min" || name == "max") && node.is_number()) {
    (name == "min" ? into.min : into.max) = *node.value<double>();
  } else {
    throw ConfigError(place + "." + name + " = " + text_of(node) + ": " + kForms);
  }
}

void read(std::map<std::string, Searched>& space, const Written& written) {
  std::string key = written.key.substr(kSpace.size());
  const std::string place = written.where + ": " + written.key;
  const size_t dot = key.rfind('.');
  const std::string last = dot == std::string::npos ? "" : key.substr(dot + 1);
  if (last == "min" || last == "max" || last == "log") key.resize(dot);
  Searched& into = space[key];
  into.where = written.where;
  if (const toml::array* list = written.value->as_array()) {
    into = {.where = written.where};
    for (const toml::node& value : *list) into.choices.push_back(text_of(value));
    if (into.choices.empty()) throw ConfigError(place + " = []: " + kForms);
  } else if (const toml::table* range = written.value->as_table()) {
    into = {.where = written.where};
    for (const auto& [name, value] : *range) read_bound(into, std::string(name.str()), value, place);
  } else if (key != written.key.substr(kSpace.size())) {
    into.choices.clear();
    read_bound(into, last, *written.value, written.where + ": " + std::string(kSpace) + key);
  } else {
    throw ConfigError(place + " = " + text_of(*written.value) + ": " + kForms);
  }
}

/// Every value that may be drawn has its key's type and keeps its limits.
void check(const Settings& settings, const SearchKey& key, const std::string& where) {
  const auto setting = std::ranges::find(settings, key.key, &Setting::key);
  const std::string place = where + ": tune.space." + key.key;
  if (setting == settings.end() || key.key.starts_with("run.dir")) {
    std::vector<std::string> keys;
    for (const Setting& known : settings) keys.push_back(known.key);
    throw ConfigError(place + ": no key of this model; the nearest one is " + nearest(key.key, keys) +
                      " (all keys: cllm4rec train --help-config)");
  }
  if (!setting->shapes_result) throw ConfigError(place + " changes no result: leave it out");
  const bool is_number = std::holds_alternative<int64_t*>(setting->target) ||
                         std::holds_alternative<double*>(setting->target) ||
                         std::holds_alternative<std::optional<double>*>(setting->target) ||
                         std::holds_alternative<SetsAll>(setting->target);
  if (key.choices.empty() && !is_number) throw ConfigError(place + " is no number: give a list of values");
  std::vector<std::string> values = key.choices;
  const bool integer = std::holds_alternative<int64_t*>(setting->target);
  for (const double bound : {key.min, key.max}) {
    if (key.choices.empty()) values.push_back(integer ? std::to_string(std::llround(bound)) : format_number(bound));
  }
  for (const std::string& value : values) {
    const toml::table table = toml::parse("value = " + value);
    assign({place, key.key, table.get("value"), {}}, *setting);
  }
}

SearchKey finished(const std::string& key, const Searched& read) {
  const std::string place = read.where + ": tune.space." + key;
  if (!read.choices.empty()) return {.key = key, .choices = read.choices};
  if (!read.min || !read.max) throw ConfigError(place + ": " + kForms);
  if (!(*read.min < *read.max)) throw ConfigError(place + ": min must be below max");
  if (read.log && *read.min <= 0)
    throw ConfigError(place + ": log = true needs min above 0, not " + format_number(*read.min));
  return {.key = key, .min = *read.min, .max = *read.max, .log = read.log};
}

}  // namespace

void describe(TuneSection& tune, Settings& settings) {
  settings.push_back({"tune.trials", &tune.trials, "configurations that are tried; the first is the file's own",
                      between(1, 1'000'000)});
  settings.push_back({"tune.minutes", &tune.minutes,
                      "that all trials may take together, over any number of starts of the command; 0: no limit",
                      at_least(0)});
  settings.push_back({"tune.factor", &tune.factor,
                      "a rung has so many times the epochs of the one below it, and the best 1 / factor of its trials",
                      between(2, 100)});
  settings.push_back({"tune.rungs", &tune.rungs, "at most; 1: every trial is trained to its end", between(1, 20)});
  settings.push_back({"tune.seed", &tune.seed, "of the draws of the space; trials train with run.seed", at_least(0)});
  settings.push_back(
      {"tune.seeds", &tune.seeds,
       "runs of the best configuration at the end, with run.seed + 1 and so on, measured on the test part",
       between(0, 1000)});
}

TuneSection load_tune(const std::string& path, std::span<const std::string> overrides, const RunConfig& config) {
  const WrittenSettings written(path, overrides);
  TuneSection tune;
  Settings own;
  describe(tune, own);
  std::map<std::string, Searched> space;
  for (const Written& one : written.all()) {
    if (one.key.starts_with(kSpace)) {
      read(space, one);
    } else if (one.key.starts_with(kSection)) {
      const auto setting = std::ranges::find(own, one.key, &Setting::key);
      std::vector<std::string> keys{std::string(kSpace) + "KEY"};
      for (const Setting& known : own) keys.push_back(known.key);
      if (setting == own.end())
        throw ConfigError(one.where + ": unknown key " + one.key + "; the nearest known key is " +
                          nearest(one.key, keys));
      assign(one, *setting);
    }
  }
  RunConfig copy = config;
  copy.options = config.options->clone();
  const Settings settings = all_settings(copy);
  for (const auto& [key, searched] : space) {
    tune.space.push_back(finished(key, searched));
    check(settings, tune.space.back(), searched.where);
  }
  if (!tune.space.empty()) return tune;
  tune.space = config.options->search_space();
  std::ranges::sort(tune.space, {}, &SearchKey::key);
  if (tune.space.empty())
    throw ConfigError("model.name = \"" + config.model +
                      "\" has nothing that is searched by itself: name keys in "
                      "[tune.space], e.g. KEY = [a, b] or KEY = {min = a, max = b, log = true}");
  return tune;
}

std::string tune_help() {
  TuneSection tune;
  Settings settings;
  describe(tune, settings);
  std::string out = "\n[tune], read by `cllm4rec tune` alone; [tune.space]: KEY = [a, b, ...] or {min, max, log}\n";
  for (const Setting& setting : settings) {
    std::string key = "  " + setting.key.substr(kSection.size());
    key.resize(32, ' ');
    out += key + setting.doc + " (" + allowed(setting.limits) + ") [" + printed(setting) + "]\n";
  }
  return out;
}

}  // namespace cllm
