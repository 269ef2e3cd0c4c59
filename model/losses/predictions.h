#pragma once

// The term of every language model step: the sum of weight * -log p(target) at the hidden states. Letters as in
// loss_term.h, S negatives.

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"
#include "model/losses/item_logits.h"
#include "model/losses/loss_term.h"
#include "model/losses/soft_labels.h"
#include "model/losses/softmax_head.h"

namespace cllm {

/// "lm" over all items of a table (METHOD.md §4).
class ItemPrediction : public HiddenTerm {
 public:
  ItemPrediction(Communicator& comm, const RowPartition& items, ItemSoftmax form)
      : comm_(comm), items_(items), form_(form) {}
  std::string_view name() const override { return "lm"; }
  bool reads_items() const override { return true; }
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  Communicator& comm_;
  RowPartition items_;
  ItemSoftmax form_;
};

/// "lm" with targets that are sets, masks or soft labels (soft_softmax.h).
class SoftItemPrediction : public HiddenTerm {
 public:
  /// `histories`: of the batch.
  SoftItemPrediction(Communicator& comm, const RowPartition& items, const SoftObjective& objective,
                     const HistoryLists& histories)
      : comm_(comm), items_(items), objective_(objective), histories_(to_tensors(histories)) {}
  std::string_view name() const override { return "lm"; }
  bool reads_items() const override { return true; }
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  Communicator& comm_;
  RowPartition items_;
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

/// A prediction of items whose logits are made by more than a product.
class MappedPrediction : public HiddenTerm {
 public:
  /// `logits` outlives it.
  MappedPrediction(std::unique_ptr<HiddenTerm> inner, const ItemLogits& logits)
      : inner_(std::move(inner)), logits_(logits) {}
  std::string_view name() const override { return inner_->name(); }
  std::vector<int32_t> rows() const override { return inner_->rows(); }
  bool reads_items() const override { return inner_->reads_items(); }
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  std::unique_ptr<HiddenTerm> inner_;
  const ItemLogits& logits_;
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
