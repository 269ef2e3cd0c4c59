#pragma once

#include "tests/golden/golden_set.h"
#include "tests/golden/parity_report.h"

namespace cllm::golden {

// One function per family of cases of index.json. Collective; the caller begins and ends the family in the report.

/// Losses and gradients of single steps, also of the backbone, with the given form of the item softmax.
void check_losses(GoldenSet& set, ParityReport& report, ItemSoftmax form);
/// Token ids, predicting positions, residual stream, hidden states, logits and NLL of single forwards.
void check_forward(GoldenSet& set, ParityReport& report);
/// Tables and Adam moments after every step of alternating runs.
void check_trajectories(GoldenSet& set, ParityReport& report);
/// Adam on given gradients with gaps.
void check_adam(GoldenSet& set, ParityReport& report);
/// Scores, lists and metrics.
void check_ranking(GoldenSet& set, ParityReport& report);
/// A library's model, arch/<name>: hidden states and logits; losses and gradients of L-, C- and finetuning steps on it,
/// frozen and with adapters, with and without a token at the start of every sequence.
void check_arch(GoldenSet& set, ParityReport& report, const std::string& name);
/// Its part on hidden states and logits: io.safetensors of the folder.
void check_states(GoldenSet& set, ParityReport& report, const std::string& folder);

}  // namespace cllm::golden
