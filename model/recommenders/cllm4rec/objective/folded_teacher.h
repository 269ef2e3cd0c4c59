#pragma once

// A teacher for every part of the users, fitted to the others: cross-fitting. Letters as in soft_labels.h.

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "model/recommenders/cllm4rec/objective/teacher.h"

namespace cllm {

/// A position is taught by the teacher of its user's fold (UserFold), which has not seen any user of it.
class FoldedTeacher : public TemperedLabels {
 public:
  /// `folds`: at least two, of one shape.
  explicit FoldedTeacher(std::vector<std::unique_ptr<TemperedLabels>> folds) : folds_(std::move(folds)) {}

  void start(Communicator& comm, const HistoryTensors& all) override;
  at::Tensor logits(Range positions, Range rows) const override;
  std::string describe() const override;
  void set_beta(double beta) override;

 private:
  std::vector<std::unique_ptr<TemperedLabels>> folds_;
  std::vector<size_t> fold_A_;
};

}  // namespace cllm
