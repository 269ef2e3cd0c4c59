#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace cllm {

/// A pattern of a tokenizer file (Oniguruma's language), run by PCRE2 on text that may hold bytes that are not UTF-8:
/// no match contains one. \s is Unicode's White_Space. A value, thread-safe.
class Regex {
 public:
  /// DataError, starting with `where`, for a pattern that PCRE2 does not know or would read otherwise.
  Regex(const std::string& pattern, std::string where, bool anchored = false);

  struct Match {
    size_t begin, end;
  };
  /// The first match that starts at `start` or (unless anchored) behind it. DataError if the pattern gives up.
  std::optional<Match> find(std::string_view text, size_t start) const;

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
  std::string where_;
};

}  // namespace cllm
