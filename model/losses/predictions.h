#pragma once

// The term of every language model step: the sum of weight * -log p(target) at the hidden states. Letters as in
// loss_term.h, S negatives.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/losses/loss_term.h"
#include "model/losses/soft_labels.h"
#include "model/losses/softmax_head.h"
#include "model/tables/table.h"

namespace cllm {

/// "lm" over all items of a table (METHOD.md §4).
class ItemPrediction : public HiddenTerm {
 public:
  ItemPrediction(Communicator& comm, const Table& table, ItemSoftmax form) : comm_(comm), table_(table), form_(form) {}
  std::string_view name() const override { return "lm"; }
  bool reads_items() const override { return true; }
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  Communicator& comm_;
  const Table& table_;
  ItemSoftmax form_;
};

/// "lm" with targets that are sets, masks or soft labels (soft_softmax.h).
class SoftItemPrediction : public HiddenTerm {
 public:
  /// `histories`: of the batch.
  SoftItemPrediction(Communicator& comm, const Table& table, const SoftObjective& objective,
                     const HistoryLists& histories)
      : comm_(comm), table_(table), objective_(objective), histories_(to_tensors(histories)) {}
  std::string_view name() const override { return "lm"; }
  bool reads_items() const override { return true; }
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  Communicator& comm_;
  const Table& table_;
  SoftObjective objective_;
  HistoryTensors histories_;
};

/// "lm" with the sum over all items estimated from negatives (sampled_softmax.h). Asks for the rows of the negatives,
/// then of the targets.
class SampledPrediction : public HiddenTerm {
 public:
  /// The rows of the items follow one another from `first_row` on. `target_items` [K]: of the batch. `key`:
  /// the same on all ranks.
  SampledPrediction(int64_t num_items, int64_t first_row, const std::vector<int32_t>& target_items,
                    int64_t num_negatives, uint64_t key);
  std::string_view name() const override { return "lm"; }
  std::vector<int32_t> rows() const override;
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  int64_t num_items_, first_row_;
  std::vector<int32_t> negatives_, targets_;  // items
};

/// "lm" over the words of a backbone.
class TextPrediction : public HiddenTerm {
 public:
  /// `words_ND`: the text head; `trained`: it gets a gradient.
  TextPrediction(at::Tensor words_ND, bool trained) : words_ND_(std::move(words_ND)), trained_(trained) {}
  std::string_view name() const override { return "lm"; }
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  at::Tensor words_ND_;
  bool trained_;
};

}  // namespace cllm
