#pragma once

// Successive halving without waiting (after ASHA, Li et al., MLSys 2020): which trial is trained next, as a pure
// function of what is known, so that a search that was stopped goes on as if it had not been.

#include <cstdint>
#include <optional>
#include <span>

namespace cllm {

/// What a rung gave of a trial.
struct RungScore {
  int64_t trial = 0;
  int rung = 0;
  std::optional<double> score = {};  // higher is better; none: the trial failed
};

struct Halving {
  int64_t trials = 20;
  int64_t factor = 3;
  int rungs = 3;
};

/// Rungs of a training of so many epochs: at most `most`, and at least one epoch in the lowest.
int rungs_of(int64_t epochs, int64_t factor, int64_t most);

/// Epochs that a rung ends with; 0: those of the whole training. Each rung has `factor` times those of the one below.
int64_t epochs_at(int rung, int rungs, int64_t epochs, int64_t factor);

struct Move {
  int64_t trial = 0;
  int rung = 0;
};

/// The highest rung whose best 1 / factor have a trial that is not yet a rung higher, and that has fewer than so many
/// there: the best such trial goes on (ties to the lower number). Else a new trial starts. When all have started, every
/// trial goes on that is among the best 1 / factor of its rung, and of each rung at least one. None: the search is
/// done.
std::optional<Move> next_move(const Halving& how, std::span<const RungScore> known);

}  // namespace cllm
