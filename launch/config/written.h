#pragma once

// Settings as TOML text, in both directions; internal to launch/config/.

#include <toml++/toml.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/settings.h"

namespace cllm {

/// One `key = value` of the file or of the command line, with the words that tell a person where it stands.
struct Written {
  std::string where;  // "run.toml:12" or "--loss.lambda"
  std::string key;    // "section.key"
  const toml::node* value;
  std::string typed = {};  // of the command line: the value as it was written, for keys that want a text
};

/// All of a file and of a command line: first the file's in the order of its lines, then the overrides in theirs, so
/// that the last word wins.
class WrittenSettings {
 public:
  /// As load_config(). Throws ConfigError for what is no TOML.
  WrittenSettings(const std::string& path, std::span<const std::string> overrides);
  std::span<const Written> all() const { return all_; }

 private:
  std::vector<std::unique_ptr<const toml::table>> tables_;  // hold the values
  std::vector<Written> all_;
};

/// Writes the value into the setting's target; `written.key` is the setting's. Throws ConfigError: where, key, value,
/// what is expected.
void assign(const Written& written, const Setting& setting);

/// The value as TOML text; empty if there is nothing to print.
std::string printed(const Setting& setting);

/// What a person may write: "cpu | cuda", "0 to 1", "at least 1", "".
std::string allowed(const Limits& limits);

}  // namespace cllm
