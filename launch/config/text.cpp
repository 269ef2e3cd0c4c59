#include "launch/config/text.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace cllm {
namespace {

template <typename... Args>
std::string print(const char* format, Args... args) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, args...);
  return buffer;
}

/// Levenshtein distance, one row of the table at a time.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string nearest(const std::string& name, const std::vector<std::string>& candidates) {
  const auto best =
      std::ranges::min_element(candidates, {}, [&](const auto& candidate) { return edit_distance(name, candidate); });
  return best == candidates.end() ? "" : *best;
}

std::string digest_of_text(const std::string& text) {
  return print("%016llx", static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
}

std::string format_number(double value) { return print("%.6g", value); }

std::string format_count(double value) {
  const char* unit = "";
  for (const char* next : {"k", "M", "G", "T"}) {
    if (std::abs(value) < 1000) break;
    value /= 1000;
    unit = next;
  }
  const int decimals = *unit == '\0' ? (value < 10 && value != std::floor(value) ? 1 : 0)
                                     : (value < 10    ? 2
                                        : value < 100 ? 1
                                                      : 0);
  return print("%.*f%s", decimals, value, unit);
}

std::string format_duration(double seconds) {
  const long s = std::lround(std::max(0.0, seconds));
  if (s < 60) return print("%lds", s);
  if (s < 3600) return print("%ldm%02lds", s / 60, s % 60);
  if (s < 86400) return print("%ldh%02ldm", s / 3600, s / 60 % 60);
  return print("%ldd%02ldh", s / 86400, s / 3600 % 24);
}

}  // namespace cllm
