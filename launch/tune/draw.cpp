#include "launch/tune/draw.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <variant>

#include "data/random.h"
#include "launch/config/paths.h"

namespace cllm {
namespace {

/// No stream of a training has it, whatever the seeds.
uint64_t key_of(uint64_t seed, int64_t trial, const std::string& name) {
  constexpr uint64_t kSearch = 0x74756e652e737063;  // "tune.spc"
  return mix64(mix64(mix64(seed ^ kSearch) ^ static_cast<uint64_t>(trial)) ^ XXH3_64bits(name.data(), name.size()));
}

std::string value_in(const SearchKey& key, double share, bool whole) {
  const double place = key.log ? std::exp(std::log(key.min) + share * (std::log(key.max) - std::log(key.min)))
                               : key.min + share * (key.max - key.min);
  if (whole) return std::to_string(std::llround(place));
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", place);
  const double rounded = std::clamp(std::stod(text), key.min, key.max);
  std::snprintf(text, sizeof text, "%.6g", rounded);
  return text;
}

}  // namespace

DrawnValues draw(std::span<const SearchKey> space, uint64_t seed, int64_t trial, const RunConfig& config) {
  DrawnValues out;
  if (trial == 0) return out;
  RunConfig copy = config;
  const Settings settings = all_settings(copy);
  for (const SearchKey& key : space) {
    CounterRng rng(key_of(seed, trial, key.key));
    if (!key.choices.empty()) {
      out.emplace_back(key.key, key.choices[rng.below(key.choices.size())]);
      continue;
    }
    const auto setting = std::ranges::find(settings, key.key, &Setting::key);
    const bool whole = setting != settings.end() && std::holds_alternative<int64_t*>(setting->target);
    out.emplace_back(key.key, value_in(key, rng.uniform(), whole));
  }
  return out;
}

}  // namespace cllm
