#pragma once

// What a position of a history may predict beside listed targets: the items that it has not shown yet, and a dense
// distribution over them. Letters: B sequences, M items of their histories, A positions, b positions and v rows of a
// block, J items.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/losses/blocked_softmax.h"

namespace cllm {

/// A batch's sequences as lists of distinct items, of which a position has seen a beginning.
struct HistoryLists {
  std::vector<int64_t> users;       // [B]
  std::vector<int64_t> offsets;     // [B+1] into items; starts with 0
  std::vector<int64_t> items;       // [M] in the order in which they are shown; those that never are come last
  std::vector<int64_t> sequence;    // [A] of a position, ascending
  std::vector<int64_t> shown;       // [A] how many of its sequence's items it has seen; ascends within a sequence
  std::vector<double> rest_weight;  // [A] what it predicts all the others with, in equal parts; 0: it has targets
};

/// The same on the host: int64, rest_weight fp64.
struct HistoryTensors {
  at::Tensor users_B, offsets_B1, items_M;
  at::Tensor sequence_A, shown_A, rest_weight_A;
};
HistoryTensors to_tensors(const HistoryLists& lists);

/// Those of all ranks, one rank after the other. Collective.
HistoryTensors gather_histories(Communicator& comm, const HistoryTensors& mine);

/// A distribution q over the items that a position has not shown, for every position. No state outlives a call of the
/// softmax, so nothing is saved.
class SoftLabels {
 public:
  virtual ~SoftLabels() = default;
  /// The positions of a call, of all ranks alike, until the next start(). Collective.
  virtual void start(Communicator& comm, const HistoryTensors& all) = 0;
  /// [b, v] fp32 or fp64, contiguous, on the device: ln q up to a number per position, of some positions and of rows of
  /// this rank. Values at shown items do not count. Local.
  virtual at::Tensor logits(Range positions, Range rows) const = 0;
  /// What was found for them at the start: a line with its end, or nothing.
  virtual std::string describe() const { return ""; }
};

/// kCrossEntropy: y = (1 - alpha) T + alpha q, loss - sum_j y_j ln p_j. kLogOutside: - ln sum_j y_j p_j, the soft
/// labels of TCA4Rec (arXiv 2601.18457, METHOD.md §9). T: the targets of a position, divided by their weight.
enum class SoftForm { kCrossEntropy, kLogOutside };

struct SoftObjective {
  bool mask_shown = false;  // items that a position has shown have no probability
  double alpha = 0;
  SoftLabels* labels = nullptr;  // q; null: alpha is 0
  SoftForm form = SoftForm::kCrossEntropy;
};

}  // namespace cllm
