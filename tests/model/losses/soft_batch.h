#pragma once

// Histories, targets and labels that the tests of soft targets make by hand.

#include <gtest/gtest.h>

#include <ATen/ops/tensor.h>

#include <span>
#include <utility>
#include <vector>

#include "model/losses/soft_softmax.h"

namespace cllm::testing {

/// Labels that a test knows: [A, J] of all ranks' positions.
class KnownLabels : public SoftLabels {
 public:
  KnownLabels(at::Tensor log_AJ, int64_t first_item) : log_AJ_(std::move(log_AJ)), first_(first_item) {}
  void start(Communicator&, const HistoryTensors& all) override { ASSERT_EQ(all.sequence_A.size(0), log_AJ_.size(0)); }
  at::Tensor logits(Range positions, Range rows) const override {
    return positions.of(log_AJ_).narrow(1, first_ + rows.first, rows.count).clone();
  }

 private:
  at::Tensor log_AJ_;
  int64_t first_;
};

/// One sequence with its listed targets, one list per position.
struct SoftSequence {
  std::vector<int64_t> items = {}, shown = {};
  std::vector<double> rest = {};
  std::vector<std::vector<std::pair<int64_t, double>>> targets = {};
};

struct SoftBatch {
  HistoryLists lists;
  std::vector<int64_t> target_offsets{0}, ids;
  std::vector<double> weights;

  explicit SoftBatch(std::span<const SoftSequence> sequences) {
    lists.offsets = {0};
    for (const SoftSequence& sequence : sequences) {
      for (size_t n = 0; n < sequence.shown.size(); ++n) {
        lists.sequence.push_back(std::ssize(lists.users));
        lists.shown.push_back(sequence.shown[n]);
        lists.rest_weight.push_back(sequence.rest[n]);
        for (const auto& [id, weight] : sequence.targets[n]) {
          ids.push_back(id);
          weights.push_back(weight);
        }
        target_offsets.push_back(std::ssize(ids));
      }
      lists.users.push_back(0);
      lists.items.insert(lists.items.end(), sequence.items.begin(), sequence.items.end());
      lists.offsets.push_back(std::ssize(lists.items));
    }
  }
  int64_t num_positions() const { return std::ssize(lists.shown); }
  Targets targets() const {
    return {at::tensor(target_offsets, at::kLong), at::tensor(ids, at::kLong), at::tensor(weights, at::kDouble)};
  }
};

}  // namespace cllm::testing
