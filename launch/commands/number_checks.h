#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace cllm {

/// As CLI::PositiveNumber and CLI::NonNegativeNumber, whose refusals print the largest double in full.
inline CLI::Validator number_check(bool zero_too) {
  return CLI::Validator(
      [zero_too](const std::string& text) {
        double value = 0;
        if (!CLI::detail::lexical_cast(text, value)) return "\"" + text + "\" is no number";
        if (value > 0 || (zero_too && value == 0)) return std::string();
        return text + (zero_too ? " is below 0" : " is not above 0") + "; choose a larger number";
      },
      zero_too ? "NONNEGATIVE" : "POSITIVE");
}
inline const CLI::Validator kPositive = number_check(false), kNotNegative = number_check(true);

}  // namespace cllm
