#include "model/recommenders/cllm4rec/objective/teacher.h"

#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/zeros.h>

#include "model/errors.h"
#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "model/recommenders/closed_form/ease_text.h"
#include "tests/model/recommenders/cllm4rec/l_stage.h"
#include "tests/model/recommenders/cllm4rec/objective/shuffled_histories.h"
#include "tests/model/recommenders/fitted.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

constexpr double kRidge = 3, kPull = 2;

/// Weights between the texts of the items, no model's: any [J, J] with a diagonal of 0.
at::Tensor text_weights(int64_t J) {
  at::Tensor out = at::rand({J, J}, at::detail::createCPUGenerator(7), at::kDouble) - 0.3;
  out.diagonal().zero_();
  return out;
}

/// Item-item scores [J, J] of a model fitted to X: row i is what item i tells.
at::Tensor fitted_scores(TeacherModel model, const at::Tensor& X) {
  const at::Tensor G = at::mm(X.t(), X);
  if (model == TeacherModel::kEase || model == TeacherModel::kEaseText) {
    const at::Tensor P = at::linalg_inv(G + kRidge * at::eye(G.size(0), at::kDouble));
    if (model == TeacherModel::kEase) return -P / P.diagonal();
    const at::Tensor M = at::mm(P, text_weights(G.size(0)));
    return kPull * M - P * ((1 + kPull * M.diagonal()) / P.diagonal());
  }
  const at::Tensor root = G.diagonal().clamp_min(1).sqrt();
  return G / root / root.unsqueeze(1);
}

/// The columns of P or G, and of P C, of some items.
LinearTeacher::Columns teacher_columns(TeacherModel model, const at::Tensor& X, Range mine) {
  const auto of_mine = [&](const at::Tensor& all) { return all.narrow(1, mine.first, mine.count).contiguous(); };
  const at::Tensor G = at::mm(X.t(), X);
  if (model == TeacherModel::kItemCosine) return {of_mine(G)};
  const at::Tensor P = at::linalg_inv(G + kRidge * at::eye(G.size(0), at::kDouble));
  if (model == TeacherModel::kEase) return {of_mine(P)};
  return {of_mine(P), of_mine(at::mm(P, text_weights(G.size(0))))};
}

TEST(LinearTeacher, ScoresOfEveryPrefixAreThoseOfAModelFittedWithoutTheUser) {
  const Corpus& corpus = testing::training_corpus();
  const at::Tensor X = testing::training_matrix(corpus), counts = item_counts(corpus);
  const std::vector<int64_t> users{3, 10, 22, 35, 40};
  const HistoryLists lists = testing::shuffled_histories(users);
  const int64_t A = std::ssize(lists.shown), J = X.size(1);
  for (const TeacherModel model : {TeacherModel::kEase, TeacherModel::kEaseText, TeacherModel::kItemCosine}) {
    for (const bool leave_one_out : {true, false}) {
      at::Tensor expected = at::zeros({A, J}, at::kDouble);
      for (int64_t a = 0; a < A; ++a) {
        const auto n = static_cast<size_t>(a), b = static_cast<size_t>(lists.sequence[n]);
        at::Tensor rest = X.clone();
        if (leave_one_out) rest[users[b]].zero_();
        const at::Tensor B = fitted_scores(model, rest);
        for (int64_t place = lists.offsets[b]; place < lists.offsets[b] + lists.shown[n]; ++place)
          expected[a] += B[lists.items[static_cast<size_t>(place)]];
      }
      for (const int world_size : {1, 2, 4}) {
        testing::run_ranks(world_size, [&](Communicator& comm) {
          const RowPartition items(J, world_size);
          const Range mine{items.begin(comm.rank()), items.size(comm.rank())};
          LinearTeacher teacher(corpus, comm, mine.first, {model, leave_one_out, 0.1, 0.6, kPull},
                                teacher_columns(model, X, mine), counts);
          teacher.start(comm, to_tensors(lists));
          for_each_range(A, 3, [&](Range positions) {  // blocks that begin anywhere
            at::Tensor got = teacher.scores(positions, {0, mine.count}),
                       wanted = positions.of(expected).narrow(1, mine.first, mine.count).clone();
            for (int64_t n = 0; n < positions.count; ++n) {  // scores of shown items are not used
              const auto a = static_cast<size_t>(positions.first + n), b = static_cast<size_t>(lists.sequence[a]);
              for (int64_t place = lists.offsets[b]; place < lists.offsets[b] + lists.shown[a]; ++place) {
                const int64_t column = lists.items[static_cast<size_t>(place)] - mine.first;
                if (column < 0 || column >= mine.count) continue;
                got[n][column].zero_();
                wanted[n][column].zero_();
              }
            }
            EXPECT_LE(testing::gap(got, wanted), 1e-10) << world_size << " ranks";
          });
        });
      }
    }
  }
}

TEST(LinearTeacher, ScoresDoNotDependOnWhereABlockBeginsBitByBit) {
  const Corpus& corpus = testing::training_corpus();
  const at::Tensor X = testing::training_matrix(corpus);
  const HistoryLists lists = testing::shuffled_histories(std::vector<int64_t>{3, 10, 22});
  const int64_t A = std::ssize(lists.shown), J = X.size(1);
  testing::run_ranks(1, [&](Communicator& comm) {
    const LinearTeacher::Columns columns = teacher_columns(TeacherModel::kEaseText, X, {0, J});
    LinearTeacher teacher(corpus, comm, 0, {TeacherModel::kEaseText, true, 0.1, 0.6, kPull},
                          {columns.model_Jv.to(at::kFloat), columns.texts_Jv.to(at::kFloat)}, item_counts(corpus));
    teacher.start(comm, to_tensors(lists));
    const at::Tensor whole = teacher.scores({0, A}, {0, J});
    for_each_range(A, 2, [&](Range positions) {
      for_each_range(J, 7, [&](Range rows) {
        EXPECT_TRUE(at::equal(teacher.scores(positions, rows), positions.of(whole).narrow(1, rows.first, rows.count)));
      });
    });
  });
}

/// A training of one L-stage with everything on.
Cllm4recOptions taught_options(TeacherModel model, SoftForm form) {
  Cllm4recOptions options = testing::l_stage_options(/*epochs=*/2);
  options.mutual.learning_rate = 1e-2;
  options.prompts.user_token = UserToken::kOff;
  options.objective.target = LossTarget::kSet;
  options.objective.mask_shown = true;
  options.objective.teacher = {
      .model = model, .form = form, .alpha = 0.5, .beta = 0.1, .ridge = kRidge, .text_pull = kPull};
  return options;
}

TEST(TaughtCllm4rec, AnyNumberOfRanksMakesTheSameTrainingAndLists) {
  for (const SoftForm form : {SoftForm::kCrossEntropy, SoftForm::kLogOutside}) {
    const Cllm4recOptions options = taught_options(TeacherModel::kEase, form);
    const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
    EXPECT_LT(one.losses.back(), one.losses.front());
    testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, 3), one);
  }
}

TEST(TaughtCllm4rec, ATeacherOfTextsIsTheModelEaseTextAndTheSameForAnyNumberOfRanks) {
  Cllm4recOptions options = taught_options(TeacherModel::kEaseText, SoftForm::kCrossEntropy);
  options.objective.teacher.holdout = TeacherHoldout::kNone;
  options.objective.teacher.popularity = 0;
  const HistoryLists lists = testing::shuffled_histories(std::vector<int64_t>{3, 10, 22});
  const Range all{0, std::ssize(lists.shown)};
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const OpenArguments arguments{.corpus = testing::training_corpus(),
                                  .channels = channels,
                                  .run = {.precision = at::kDouble},
                                  .to_train = true,
                                  .agreed = [](const std::function<void()>& work) { work(); }};
    const auto labels = make_soft_labels(options.objective, arguments);
    labels->start(comm, to_tensors(lists));
    EaseTextOptions same;
    same.lambda_x = kRidge - kPull, same.lambda_f = options.objective.teacher.text_ridge, same.lambda_e = kPull;
    EaseText model(same, arguments);
    testing::run_program(model);
    const at::Tensor B = model.store().tables[0].table->weight.to(at::kDouble);
    EXPECT_EQ(labels->describe(), "teacher    its scores / 0.1 (teacher.beta)\n");
    at::Tensor got = labels->logits(all, {0, B.size(0)}) * options.objective.teacher.beta;
    for (int64_t a = 0; a < all.count; ++a) {
      const auto first = lists.offsets[static_cast<size_t>(lists.sequence[static_cast<size_t>(a)])];
      for (int64_t place = first; place < first + lists.shown[static_cast<size_t>(a)]; ++place)
        got[a].sub_(B[lists.items[static_cast<size_t>(place)]]);
      for (int64_t place = first; place < first + lists.shown[static_cast<size_t>(a)]; ++place)
        got[a][lists.items[static_cast<size_t>(place)]].zero_();  // of shown items: not used
    }
    EXPECT_LT(got.abs().max().item<double>(), 1e-5);  // the model keeps fp32
  });
  options.objective.teacher.holdout = TeacherHoldout::kLeaveOneOut;
  const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
  testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, 3), one);
}

TEST(TaughtCllm4rec, ResumingIsBitwise) {
  testing::expect_resume_is_bitwise(cllm4rec_model(),
                                    taught_options(TeacherModel::kItemCosine, SoftForm::kCrossEntropy), 2, 5);
}

TEST(TaughtCllm4rec, WhatDoesNotGoTogetherIsOneLine) {
  Cllm4recOptions options = taught_options(TeacherModel::kEase, SoftForm::kCrossEntropy);
  EXPECT_EQ(options.problem(), "");
  options.objective.smoothing.kind = SmoothingKind::kUniform;
  EXPECT_NE(options.problem().find("teacher.model both soften"), std::string::npos);
  options.objective.smoothing.kind = SmoothingKind::kNone;
  options.item_softmax = ItemSoftmaxChoice::kSampled;
  EXPECT_NE(options.problem().find("optimizer.item_softmax"), std::string::npos);
  options.item_softmax = ItemSoftmaxChoice::kAuto;
  options.finetune.epochs = 1;
  options.loss.finetune_targets = FinetuneTargets::kAllTrain;
  EXPECT_NE(options.problem().find("loss.mask_shown"), std::string::npos);
}

TEST(TaughtCllm4rec, ATemperatureThatIsNotGivenNeedsValidationItems) {
  Cllm4recOptions options = taught_options(TeacherModel::kEase, SoftForm::kCrossEntropy);
  options.objective.teacher.beta = 0;
  testing::run_ranks(2, [&](Communicator& comm) {
    const Channels channels(comm);
    const OpenArguments arguments{.corpus = testing::training_corpus(),
                                  .channels = channels,
                                  .agreed = [](const std::function<void()>& work) { work(); }};
    EXPECT_THROW(make_soft_labels(options.objective, arguments), ModelError);
  });
}

}  // namespace
}  // namespace cllm
