#pragma once

// Small helpers for the texts that people read.

#include <cstdint>
#include <string>
#include <vector>

namespace cllm {

std::string join(const std::vector<std::string>& parts, const std::string& separator);
std::vector<std::string> split(const std::string& text, char separator);

/// The candidate with the smallest edit distance to `name`; "" if there is none.
std::string nearest(const std::string& name, const std::vector<std::string>& candidates);

/// 16 hexadecimal digits (XXH3) that tell texts apart.
std::string digest_of_text(const std::string& text);

/// Six significant digits without trailing zeros: 0.05, 1e-08, 4096.
std::string format_number(double value);

/// 850 -> "850", 12345 -> "12.3k", 5.2e6 -> "5.20M".
std::string format_count(double value);

/// Seconds as "42s", "3m05s", "2h10m", "5d03h".
std::string format_duration(double seconds);

}  // namespace cllm
