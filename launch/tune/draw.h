#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "launch/config/config.h"
#include "model/recommenders/model_options.h"

namespace cllm {

/// Keys and their values as they stand in a TOML file.
using DrawnValues = std::vector<std::pair<std::string, std::string>>;

/// The values of a trial: a pure function of (seed, trial, key, its range), so neither other keys nor other trials
/// change them. Numbers have three digits. Trial 0 is the configuration itself: no values. `config`: which keys are
/// whole numbers.
DrawnValues draw(std::span<const SearchKey> space, uint64_t seed, int64_t trial, const RunConfig& config);

}  // namespace cllm
