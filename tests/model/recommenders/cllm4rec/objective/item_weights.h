#pragma once

// The slow way: weights between items of a model of any matrix, and what of a teacher's scores is compared.

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "model/losses/soft_labels.h"
#include "model/recommenders/cllm4rec/objective/objective.h"
#include "model/recommenders/closed_form/ease_text.h"
#include "tests/model/recommenders/fitted.h"
#include "tests/model/recommenders/training.h"

namespace cllm::testing {

/// A teacher with a temperature of 1 and without popularity.
inline ObjectiveOptions plain_teacher(TeacherModel model) {
  ObjectiveOptions objective;
  objective.teacher = {.model = model, .beta = 1, .popularity = 0, .ridge = 3, .text_pull = 2};
  return objective;
}

/// C [J, J] of ease_text on the training corpus.
inline at::Tensor weights_of_texts(const TeacherOptions& teacher) {
  at::Tensor C;
  run_ranks(1, [&](Communicator& comm) {
    C = weights_between_texts(training_corpus(), comm, RowPartition(training_corpus().vocabulary().num_items, 1), {},
                              teacher.text_ridge, [](const std::function<void()>& work) { work(); });
  });
  return C;
}

/// [J, J] of a model of X: row i is what item i tells; `C` of ease_text.
inline at::Tensor item_weights(const TeacherOptions& teacher, const at::Tensor& X, const at::Tensor& C) {
  const at::Tensor G = at::mm(X.t(), X);
  if (teacher.model == TeacherModel::kItemCosine) {
    const at::Tensor root = G.diagonal().clamp_min(1).sqrt();
    return G / root / root.unsqueeze(1);
  }
  const at::Tensor P = at::linalg_inv(G + teacher.ridge * at::eye(G.size(0), at::kDouble));
  if (teacher.model == TeacherModel::kEase) return -P / P.diagonal();
  const at::Tensor M = at::mm(P, C);
  return teacher.text_pull * M - P * ((1 + teacher.text_pull * M.diagonal()) / P.diagonal());
}

/// Zeros at the items that each of some positions has shown, whose scores are not used; columns from item `first` on.
inline at::Tensor without_shown(const HistoryLists& lists, Range positions, int64_t first, at::Tensor scores_bv) {
  for (int64_t n = 0; n < positions.count; ++n) {
    const auto a = static_cast<size_t>(positions.first + n), b = static_cast<size_t>(lists.sequence[a]);
    for (int64_t place = lists.offsets[b]; place < lists.offsets[b] + lists.shown[a]; ++place) {
      const int64_t column = lists.items[static_cast<size_t>(place)] - first;
      if (column >= 0 && column < scores_bv.size(1)) scores_bv[n][column].zero_();
    }
  }
  return scores_bv;
}

/// [A, J] sums of the rows of the shown items, `weights_of(user)` [J, J].
template <typename WeightsOf>
at::Tensor expected_scores(const HistoryLists& lists, WeightsOf weights_of) {
  const int64_t A = std::ssize(lists.shown), J = training_corpus().vocabulary().num_items;
  at::Tensor out = at::zeros({A, J}, at::kDouble);
  for (int64_t a = 0; a < A; ++a) {
    const auto n = static_cast<size_t>(a), b = static_cast<size_t>(lists.sequence[n]);
    const at::Tensor B = weights_of(lists.users[b]);
    for (int64_t place = lists.offsets[b]; place < lists.offsets[b] + lists.shown[n]; ++place)
      out[a] += B[lists.items[static_cast<size_t>(place)]];
  }
  return without_shown(lists, {0, A}, 0, out);
}

/// What the teacher of an objective gives on 1, 2 and 4 ranks, in blocks that begin anywhere.
inline void expect_scores(const ObjectiveOptions& objective, const HistoryLists& lists, const at::Tensor& expected) {
  const Corpus& corpus = training_corpus();
  for (const int world_size : {1, 2, 4}) {
    run_ranks(world_size, [&](Communicator& comm) {
      const Channels channels(comm);
      const OpenArguments arguments{.corpus = corpus,
                                    .channels = channels,
                                    .run = {.precision = at::kDouble},
                                    .to_train = true,
                                    .agreed = [](const std::function<void()>& work) { work(); }};
      const auto teacher = make_soft_labels(objective, arguments);
      teacher->start(comm, to_tensors(lists));
      const RowPartition items(corpus.vocabulary().num_items, world_size);
      const Range mine{items.begin(comm.rank()), items.size(comm.rank())};
      for_each_range(expected.size(0), 4, [&](Range positions) {
        const at::Tensor got = without_shown(lists, positions, mine.first, teacher->logits(positions, {0, mine.count}));
        EXPECT_LE(gap(got, positions.of(expected).narrow(1, mine.first, mine.count)), 1e-10) << world_size << " ranks";
      });
    });
  }
}

}  // namespace cllm::testing
