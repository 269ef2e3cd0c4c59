#pragma once

#include <filesystem>
#include <string>

#include "launch/config/config.h"

namespace cllm {

/// Every key with its place in `config`, which must stay where it is.
Settings all_settings(RunConfig& config);

/// Corpus, backbone, the run folder and the run to start from as absolute paths, so that the run can be used from any
/// directory.
void make_paths_absolute(RunConfig& config);

/// Where a person says that a run's corpus and backbone are now; empty: where they were.
struct MovedPaths {
  std::string corpus, backbone;
};
/// The stored configuration of a run that lies at `dir` now: what the person names; else what was stored, if it is
/// there; else, if that is there, what lies as far from the run as it did when it was trained (all were moved
/// together). DataError: the corpus or the backbone is at none of these; names the option.
void find_paths(RunConfig& config, const std::filesystem::path& dir, const MovedPaths& moved);

}  // namespace cllm
