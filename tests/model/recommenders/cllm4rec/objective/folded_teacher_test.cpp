#include "model/recommenders/cllm4rec/objective/folded_teacher.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <set>

#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "model/recommenders/closed_form/ease_text.h"
#include "tests/model/recommenders/cllm4rec/l_stage.h"
#include "tests/model/recommenders/cllm4rec/objective/shuffled_histories.h"
#include "tests/model/recommenders/fitted.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

constexpr double kRidgeOfFolds = 3, kPullOfFolds = 2;
constexpr int64_t kNumFolds = 3;

/// Scores [J, J] of a model of X, `C` the weights between texts.
at::Tensor fitted_scores(TeacherModel model, const at::Tensor& X, const at::Tensor& C) {
  const at::Tensor G = at::mm(X.t(), X);
  if (model == TeacherModel::kItemCosine) {
    const at::Tensor root = G.diagonal().clamp_min(1).sqrt();
    return G / root / root.unsqueeze(1);
  }
  const at::Tensor P = at::linalg_inv(G + kRidgeOfFolds * at::eye(G.size(0), at::kDouble));
  if (model == TeacherModel::kEase) return -P / P.diagonal();
  const at::Tensor M = at::mm(P, C);
  return kPullOfFolds * M - P * ((1 + kPullOfFolds * M.diagonal()) / P.diagonal());
}

ObjectiveOptions objective_of(TeacherModel model) {
  ObjectiveOptions objective;
  objective.teacher = {.model = model,
                       .beta = 1,
                       .popularity = 0,
                       .holdout = TeacherHoldout::kFolds,
                       .folds = kNumFolds,
                       .ridge = kRidgeOfFolds,
                       .text_pull = kPullOfFolds};
  return objective;
}

TEST(FoldedTeacher, EveryPrefixIsScoredByAModelFittedWithoutTheUsersOfItsFold) {
  const Corpus& corpus = testing::training_corpus();
  const at::Tensor X = testing::training_matrix(corpus);
  const std::vector<int64_t> users{3, 10, 22, 35, 40};
  std::set<int64_t> folds;
  for (const int64_t user : users) folds.insert(UserFold::of(user, kNumFolds));
  ASSERT_GT(folds.size(), 1u);
  const HistoryLists lists = testing::shuffled_histories(users);
  const int64_t A = std::ssize(lists.shown), J = X.size(1);
  for (const TeacherModel model : {TeacherModel::kEase, TeacherModel::kEaseText, TeacherModel::kItemCosine}) {
    const ObjectiveOptions objective = objective_of(model);
    at::Tensor C;
    testing::run_ranks(1, [&](Communicator& comm) {
      C = weights_between_texts(corpus, comm, RowPartition(J, 1), {}, objective.teacher.text_ridge,
                                [](const std::function<void()>& work) { work(); });
    });
    at::Tensor expected = at::zeros({A, J}, at::kDouble);
    for (int64_t a = 0; a < A; ++a) {
      const auto n = static_cast<size_t>(a), b = static_cast<size_t>(lists.sequence[n]);
      at::Tensor rest = X.clone();
      for (int64_t user = 0; user < X.size(0); ++user)
        if (UserFold::of(user, kNumFolds) == UserFold::of(users[b], kNumFolds)) rest[user].zero_();
      const at::Tensor B = fitted_scores(model, rest, C);
      for (int64_t place = lists.offsets[b]; place < lists.offsets[b] + lists.shown[n]; ++place)
        expected[a] += B[lists.items[static_cast<size_t>(place)]];
      for (int64_t place = lists.offsets[b]; place < lists.offsets[b] + lists.shown[n]; ++place)
        expected[a][lists.items[static_cast<size_t>(place)]].zero_();  // of shown items: not used
    }
    for (const int world_size : {1, 2, 4}) {
      testing::run_ranks(world_size, [&](Communicator& comm) {
        const Channels channels(comm);
        const OpenArguments arguments{.corpus = corpus,
                                      .channels = channels,
                                      .run = {.precision = at::kDouble},
                                      .to_train = true,
                                      .agreed = [](const std::function<void()>& work) { work(); }};
        const auto teacher = make_soft_labels(objective, arguments);
        teacher->start(comm, to_tensors(lists));
        const RowPartition items(J, world_size);
        const Range mine{items.begin(comm.rank()), items.size(comm.rank())};
        for_each_range(A, 4, [&](Range positions) {
          at::Tensor got = teacher->logits(positions, {0, mine.count});
          for (int64_t n = 0; n < positions.count; ++n) {
            const auto a = static_cast<size_t>(positions.first + n), b = static_cast<size_t>(lists.sequence[a]);
            for (int64_t place = lists.offsets[b]; place < lists.offsets[b] + lists.shown[a]; ++place) {
              const int64_t column = lists.items[static_cast<size_t>(place)] - mine.first;
              if (column >= 0 && column < mine.count) got[n][column].zero_();
            }
          }
          EXPECT_LE(testing::gap(got, positions.of(expected).narrow(1, mine.first, mine.count)), 1e-10)
              << world_size << " ranks";
        });
      });
    }
  }
}

TEST(FoldedTeacher, ATrainingIsTheSameOnAnyNumberOfRanksAndIsResumedBitwise) {
  Cllm4recOptions options = testing::l_stage_options(/*epochs=*/2);
  options.mutual.learning_rate = 1e-2;
  options.objective = objective_of(TeacherModel::kEase);
  options.objective.target = LossTarget::kSet;
  options.objective.mask_shown = true;
  options.history_dropout = {.items = 0.2, .history = 0.1};
  const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
  EXPECT_LT(one.losses.back(), one.losses.front());
  testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, 3), one);
  testing::expect_resume_is_bitwise(cllm4rec_model(), options, 2, 5);
}

TEST(FoldedTeacher, AHoldoutIsReadAndOtherTextsAreRefused) {
  Cllm4recOptions options = testing::l_stage_options(1);
  Settings settings;
  options.describe(settings);
  const auto holdout = std::ranges::find(settings, "teacher.holdout", &Setting::key);
  ASSERT_NE(holdout, settings.end());
  const Named& named = std::get<Named>(holdout->target);
  options.objective.teacher.model = TeacherModel::kEase;
  EXPECT_EQ(named.get(), "leave_one_out");
  for (const std::string good : {"folds:4", "none", "folds:64", "leave_one_out"}) {
    named.set(good);
    EXPECT_EQ(named.get(), good);
    EXPECT_EQ(options.problem(), "");
  }
  for (const std::string bad : {"folds", "folds:", "folds:1", "folds:65", "folds:4x", "fold:4", "folds:-2"}) {
    named.set(bad);
    EXPECT_NE(options.problem().find("teacher.holdout = \"" + bad + "\" is none of"), std::string::npos) << bad;
  }
}

}  // namespace
}  // namespace cllm
