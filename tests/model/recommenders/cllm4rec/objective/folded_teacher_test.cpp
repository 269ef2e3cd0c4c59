#include "model/recommenders/cllm4rec/objective/folded_teacher.h"

#include <gtest/gtest.h>

#include <set>

#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "tests/model/recommenders/cllm4rec/l_stage.h"
#include "tests/model/recommenders/cllm4rec/objective/item_weights.h"
#include "tests/model/recommenders/cllm4rec/objective/shuffled_histories.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

constexpr int64_t kNumFolds = 3;

TEST(FoldedTeacher, EveryPrefixIsScoredByAModelFittedWithoutTheUsersOfItsFold) {
  const at::Tensor X = testing::training_matrix(testing::training_corpus());
  const HistoryLists lists = testing::shuffled_histories(std::vector<int64_t>{3, 10, 22, 35, 40});
  std::set<int64_t> folds;
  for (const int64_t user : lists.users) folds.insert(UserFold::of(user, kNumFolds));
  ASSERT_GT(folds.size(), 1u);
  for (const TeacherModel model : {TeacherModel::kEase, TeacherModel::kEaseText, TeacherModel::kItemCosine}) {
    ObjectiveOptions objective = testing::plain_teacher(model);
    objective.teacher.holdout = TeacherHoldout::kFolds, objective.teacher.folds = kNumFolds;
    const at::Tensor C = testing::weights_of_texts(objective.teacher);
    const at::Tensor expected = testing::expected_scores(lists, [&](int64_t user) {
      at::Tensor rest = X.clone();
      for (int64_t other = 0; other < X.size(0); ++other)
        if (UserFold::of(other, kNumFolds) == UserFold::of(user, kNumFolds)) rest[other].zero_();
      return testing::item_weights(objective.teacher, rest, C);
    });
    testing::expect_scores(objective, lists, expected);
  }
}

TEST(FoldedTeacher, ATrainingIsTheSameOnAnyNumberOfRanksAndIsResumedBitwise) {
  Cllm4recOptions options = testing::l_stage_options(/*epochs=*/2);
  options.mutual.learning_rate = 1e-2;
  options.objective = testing::plain_teacher(TeacherModel::kEase);
  options.objective.teacher.holdout = TeacherHoldout::kFolds, options.objective.teacher.folds = kNumFolds;
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
