#include "model/recommenders/cllm4rec/objective/sparse_teacher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "tests/model/recommenders/cllm4rec/l_stage.h"
#include "tests/model/recommenders/cllm4rec/objective/item_weights.h"
#include "tests/model/recommenders/cllm4rec/objective/shuffled_histories.h"

namespace cllm {
namespace {

/// One entry after the other.
at::Tensor largest_only(at::Tensor B, int64_t top) {
  for (int64_t row = 0; row < B.size(0); ++row) {
    auto* const values = B.mutable_data_ptr<double>() + row * B.size(1);
    values[row] = 0;
    std::vector<double> sizes;
    for (int64_t j = 0; j < B.size(1); ++j) sizes.push_back(std::abs(values[j]));
    std::ranges::sort(sizes, std::greater());
    const double least = top < B.size(1) ? sizes[static_cast<size_t>(top) - 1] : 0;
    for (int64_t j = 0; j < B.size(1); ++j)
      if (std::abs(values[j]) < least) values[j] = 0;
  }
  return B;
}

TEST(SparseTeacher, ScoresOfEveryPrefixAreSumsOfTheLargestWeightsOfItsItems) {
  const at::Tensor X = testing::training_matrix(testing::training_corpus());
  const HistoryLists lists = testing::shuffled_histories(std::vector<int64_t>{3, 10, 22, 35, 40});
  for (const TeacherModel model : {TeacherModel::kEase, TeacherModel::kEaseText, TeacherModel::kItemCosine}) {
    for (const int64_t top : {int64_t{5}, X.size(1) + 1}) {
      if (model != TeacherModel::kEaseText && top == 5) continue;  // weights of equal size: any 5 of them will do
      for (const int64_t folds : {1, 3}) {
        std::cerr << "CASE " << static_cast<int>(model) << " top " << top << " folds " << folds << std::endl;
        ObjectiveOptions objective = testing::plain_teacher(model);
        objective.teacher.holdout = folds > 1 ? TeacherHoldout::kFolds : TeacherHoldout::kNone;
        objective.teacher.folds = folds, objective.teacher.top = top;
        const at::Tensor C = testing::weights_of_texts(objective.teacher);
        const at::Tensor expected = testing::expected_scores(lists, [&](int64_t user) {
          at::Tensor rest = X.clone();
          for (int64_t other = 0; folds > 1 && other < X.size(0); ++other)
            if (UserFold::of(other, folds) == UserFold::of(user, folds)) rest[other].zero_();
          return largest_only(testing::item_weights(objective.teacher, rest, C), top);
        });
        testing::expect_scores(objective, lists, expected);
      }
    }
  }
}

TEST(SparseTeacher, ATrainingIsTheSameOnAnyNumberOfRanksAndWhatItCannotDoIsOneLine) {
  Cllm4recOptions options = testing::l_stage_options(/*epochs=*/1);
  options.objective = testing::plain_teacher(TeacherModel::kEase);
  options.objective.mask_shown = true;
  options.objective.teacher.top = 5;
  EXPECT_NE(options.problem().find("teacher.top = 5 leaves out weights"), std::string::npos);
  options.objective.teacher.holdout = TeacherHoldout::kNone;
  EXPECT_EQ(options.problem(), "");
  const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
  testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, 3), one);
  options.objective.teacher.model = TeacherModel::kPopularity;
  EXPECT_NE(options.problem().find("teacher.top keeps the largest weights between items"), std::string::npos);
}

}  // namespace
}  // namespace cllm
