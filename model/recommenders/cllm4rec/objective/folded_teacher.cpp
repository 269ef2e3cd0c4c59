#include "model/recommenders/cllm4rec/objective/folded_teacher.h"

#include <ATen/ops/cat.h>

#include "model/recommenders/closed_form/gram.h"

namespace cllm {

void FoldedTeacher::start(Communicator& comm, const HistoryTensors& all) {
  const auto* const users = all.users_B.const_data_ptr<int64_t>();
  const auto* const sequence = all.sequence_A.const_data_ptr<int64_t>();
  fold_A_.clear();
  for (int64_t a = 0; a < all.sequence_A.size(0); ++a)
    fold_A_.push_back(static_cast<size_t>(UserFold::of(users[sequence[a]], std::ssize(folds_))));
  for (const auto& fold : folds_) fold->start(comm, all);
}

at::Tensor FoldedTeacher::logits(Range positions, Range rows) const {
  std::vector<at::Tensor> runs;
  for (int64_t first = positions.first; first < positions.first + positions.count;) {
    const size_t fold = fold_A_[static_cast<size_t>(first)];
    int64_t end = first + 1;
    while (end < positions.first + positions.count && fold_A_[static_cast<size_t>(end)] == fold) ++end;
    runs.push_back(folds_[fold]->logits({first, end - first}, rows));
    first = end;
  }
  return runs.empty() ? folds_[0]->logits(positions, rows) : at::cat(runs);
}

std::string FoldedTeacher::describe() const {
  return "teacher    " + std::to_string(folds_.size()) +
         " of them, each of the users of the other folds (teacher.holdout)\n" + folds_[0]->describe();
}

void FoldedTeacher::set_beta(double beta) {
  for (const auto& fold : folds_) fold->set_beta(beta);
}

}  // namespace cllm
