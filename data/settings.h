#pragma once

// Settings stand beside what they set: an options struct, and beside it `void describe(Options&, Settings&)`, which
// lists its keys with documentation and limits. What reads files and command lines (launch/config/) knows only this
// list.

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cllm {

/// What a value must satisfy beyond its type; an empty list of choices allows any text.
struct Limits {
  std::vector<std::string> choices = {};
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool may_be_empty = false;  // of a list of integers
};
inline Limits one_of(std::vector<std::string> choices) { return {.choices = std::move(choices)}; }
inline Limits any_number_of_them() { return {.may_be_empty = true}; }
inline Limits at_least(double min) { return {.min = min}; }
inline Limits between(double min, double max) { return {.min = min, .max = max}; }

/// A key that only sets others (`loss.lambda`); it is never printed.
struct SetsAll {
  std::vector<double*> targets;
};

/// An enum behind names; Setting::limits.choices are the names.
struct Named {
  std::function<std::string()> get;
  std::function<void(const std::string&)> set;  // one of the choices
};

/// One key. `target` points into the options that describe() was called with.
struct Setting {
  using Target = std::variant<bool*, int64_t*, double*, std::optional<double>*, std::string*, std::vector<int64_t>*,
                              std::vector<std::string>*, SetsAll, Named>;
  std::string key;  // "section.name"
  Target target;
  std::string doc;
  Limits limits = {};
  bool required = false;
  bool shapes_result = true;  // another value makes another result: part of the digest of a run's configuration
};

using Settings = std::vector<Setting>;

/// The key of an enum whose values have these names.
template <typename Enum>
requires std::is_enum_v<Enum> Setting enum_setting(std::string key, Enum* target, std::string doc,
                                                   std::vector<std::pair<std::string, Enum>> names) {
  Limits limits;
  for (const auto& [name, value] : names) limits.choices.push_back(name);
  const auto get = [target, names] {
    for (const auto& [name, value] : names) {
      if (value == *target) return name;
    }
    return std::string();
  };
  const auto set = [target, names](const std::string& wanted) {
    for (const auto& [name, value] : names) {
      if (name == wanted) *target = value;
    }
  };
  return {std::move(key), Named{get, set}, std::move(doc), std::move(limits)};
}

}  // namespace cllm
