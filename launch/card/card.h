#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "launch/run/trainer.h"
#include "launch/run/workspace.h"

namespace cllm {

/// What must be known of a finished run before its numbers are used: data, split, protocol, sizes, metrics with 95 %
/// intervals, baselines, seeds, program, backbone and what its folder says of its licence. Holds no time.
nlohmann::ordered_json card_of(const Workspace& workspace, const TrainOutcome& outcome, int world_size);

/// The same for people, in Markdown.
std::string readme_of(const nlohmann::ordered_json& card);

/// Writes <run>/card.json and <run>/README.md. Rank 0.
void write_card(const Workspace& workspace, const TrainOutcome& outcome, int world_size);

/// "mit", or what was found instead: of the header of README.md in a model's folder, or the first line of its LICENSE.
std::string licence_of(const std::string& backbone);

}  // namespace cllm
