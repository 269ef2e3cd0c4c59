#pragma once

// The value that crosses from data/ to model/: what ONE rank computes in ONE step.
// Letters: B sequences, T tokens (packed: no padding), A predicting positions, K targets, G groups.

#include <cstdint>
#include <vector>

#include "data/vocabulary.h"

namespace cllm {

/// One id that mutual regularisation covers in one group. A rank lists the pairs of its own sequences; the owner of the
/// row merges the pairs of all ranks (a group may be spread over ranks).
struct CoveredRow {
  int32_t row;    // table row, Vocabulary::row_of
  int32_t group;  // group of the global batch
  int32_t count;  // token positions (and target items) that name the row
};

/// How covered rows become the regulariser, METHOD.md §5 "MR": mr = scale / G * sum over (row, group) of n * |l - c|^2
/// with n = 1 (once per distinct id of the group) or n = the count summed over ranks.
struct MutualRegularisation {
  bool once_per_group = true;
  double scale = 0.5;
  std::vector<CoveredRow> covered;
};

/// All normalisers are inside the weights, so a sequence may be computed on any rank: the global loss is the plain sum
/// over ranks of sum_k target_weights[k] * nll(k), plus lambda * mr.
struct Batch {
  Vocabulary vocabulary;
  int64_t num_groups = 1;  // G of the global batch

  std::vector<int32_t> token_ids;         // [T] prompt followed by main, sequence after sequence
  std::vector<int32_t> sequence_offsets;  // [B+1] into token_ids; starts with 0
  std::vector<int32_t> prompt_lengths;    // [B] tokens of the sequence before its main text; empty: all of them
  std::vector<uint64_t>
      sequence_keys;  // [B] random key of a sequence (seed, epoch, sample): dropout is a function of it

  std::vector<int32_t> active_rows;     // [A] indices into token_ids whose hidden state predicts
  std::vector<int32_t> target_offsets;  // [A+1] into targets; starts with 0
  std::vector<int32_t> targets;         // [K] row of the head: e.g. item index or word id
  std::vector<double> target_weights;   // [K] weight of this target's NLL in the global loss

  MutualRegularisation mr;

  int64_t num_sequences() const { return static_cast<int64_t>(sequence_offsets.size()) - 1; }
  int64_t num_tokens() const { return static_cast<int64_t>(token_ids.size()); }
};

}  // namespace cllm
