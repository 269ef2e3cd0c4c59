#pragma once

// The table behind launch/config/config.h; internal to config*.cpp.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "launch/config/config.h"

namespace cllm {

/// What a value must satisfy beyond its type; an empty list of choices allows any text.
struct Limits {
  std::vector<std::string> choices = {};
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};

/// A key that only sets others (`loss.lambda`); it is never printed.
struct SetsAll {
  std::vector<double*> targets;
};

struct ConfigField {
  using Target =
      std::variant<bool*, int64_t*, double*, std::optional<double>*, std::string*, std::vector<int64_t>*, SetsAll>;
  std::string name;  // "section.key"
  Target target;     // into the configuration that config_fields() was called with
  std::string doc;
  Limits limits = {};
  bool required = false;
  bool shapes_result = true;  // part of config_digest
};

/// The table, bound to `config`. Order of printing.
std::vector<ConfigField> config_fields(RunConfig& config);

/// The defaults of a preset (METHOD.md §5) and of a variant (METHOD.md §8). Names are checked beforehand.
void apply_preset(RunConfig& config, const std::string& preset);
void apply_variant(RunConfig& config, const std::string& variant);
/// The defaults that depend on where a run computes.
void apply_device(RunConfig& config, const std::string& device);

}  // namespace cllm
