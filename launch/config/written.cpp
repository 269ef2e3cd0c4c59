#include "launch/config/written.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "launch/config/text.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

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

[[noreturn]] void refuse(const Written& setting, const Setting& field, const std::string& expected) {
  std::ostringstream value;
  value << toml::node_view<const toml::node>(setting.value);
  const std::string range = allowed(field.limits);
  throw ConfigError(setting.where + ": " + setting.key + " = " + value.str() + ": expected " + expected +
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
    const bool is_text = setting.value->is_string();
    if (!is_text && (setting.typed.empty() || setting.value->is_array() || setting.value->is_table()))
      refuse(setting, field, "a text in quotes");
    *target = is_text ? **setting.value->as_string() : setting.typed;  // run.dir=2024 in a shell is a text
    const auto& choices = field.limits.choices;
    if (!choices.empty() && std::ranges::find(choices, *target) == choices.end())
      refuse(setting, field, "one of the names");
  }
  void operator()(std::vector<int64_t>* target) const {
    const toml::array* list = setting.value->as_array();
    const bool of_integers = list && (list->empty() ? field.limits.may_be_empty : list->is_homogeneous<int64_t>());
    if (!of_integers) refuse(setting, field, "a list of integers");
    target->clear();
    for (const auto& value : *list) {
      target->push_back(*value.value<int64_t>());
      checked(static_cast<double>(target->back()), setting, field);
    }
  }
  void operator()(std::vector<std::string>* target) const {
    const toml::array* list = setting.value->as_array();
    const bool of_texts = list && (list->empty() || list->is_homogeneous<std::string>());
    if (!of_texts) refuse(setting, field, "a list of texts in quotes");
    target->clear();
    const auto& choices = field.limits.choices;
    for (const auto& value : *list) {
      target->push_back(*value.value<std::string>());
      if (!choices.empty() && std::ranges::find(choices, target->back()) == choices.end())
        refuse(setting, field, "a list of the names");
    }
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
      out.push_back({file + ":" + std::to_string(node.source().begin.line), name, &node, {}});
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

}  // namespace

WrittenSettings::WrittenSettings(const std::string& path, std::span<const std::string> overrides) {
  if (!path.empty()) {
    tables_.push_back(std::make_unique<const toml::table>(parse_file(path)));
    all_ = file_settings(*tables_.back(), path);
  }
  for (const std::string& text : overrides) {
    std::string key;
    tables_.push_back(std::make_unique<const toml::table>(parse_override(text, key)));
    all_.push_back({"--" + key, key, tables_.back()->get("value"), text.substr(text.find('=') + 1)});
  }
}

void assign(const Written& written, const Setting& setting) { std::visit(Assign{written, setting}, setting.target); }

std::string printed(const Setting& setting) { return std::visit(Print{}, setting.target); }

std::string allowed(const Limits& limits) {
  if (!limits.choices.empty()) return join(limits.choices, " | ");
  const bool below = std::isfinite(limits.max), above = std::isfinite(limits.min);
  if (above && below) return format_number(limits.min) + " to " + format_number(limits.max);
  return above ? "at least " + format_number(limits.min) : "";
}

}  // namespace cllm
