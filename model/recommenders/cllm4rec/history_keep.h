#pragma once

namespace cllm {

/// What is used of a history that is longer than what fits: a draw (ascending order: the lowest ids), or the newest.
enum class HistoryKeep { kRandom, kNewest };

}  // namespace cllm
