#include "model/recommenders/cllm4rec/objective/run_teacher.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include "model/errors.h"
#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "model/recommenders/closed_form/ease.h"
#include "model/recommenders/ials/ials.h"
#include "model/recommenders/multi_vae/multi_vae.h"
#include "tests/model/recommenders/cllm4rec/l_stage.h"
#include "tests/model/recommenders/cllm4rec/objective/shuffled_histories.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

namespace run_teachers {

using testing::gap;
using testing::training_corpus;

/// A trained model of these ranks.
std::shared_ptr<Recommender> trained(const Model& model, const Channels& channels) {
  const auto options = model.options();
  std::shared_ptr<Recommender> out = testing::open_in_fp64(model, *options, channels);
  testing::train(*out, 0, std::min<int64_t>(3, out->program().num_steps()));
  out->flush([] {});
  return out;
}

/// The lists that the run itself gives for what each position has shown, on one rank.
at::Tensor asked_one_by_one(Recommender& run, const HistoryLists& lists) {
  const int64_t J = training_corpus().vocabulary().num_items;
  at::Tensor out = at::zeros({std::ssize(lists.shown), J}, at::kDouble);
  for (size_t a = 0; a < lists.shown.size(); ++a) {
    if (lists.shown[a] == 0) continue;
    RankingQuery query;
    const int64_t first = lists.offsets[static_cast<size_t>(lists.sequence[a])];
    for (int64_t m = first; m < first + lists.shown[a]; ++m)
      query.history.push_back(static_cast<int32_t>(lists.items[static_cast<size_t>(m)]));
    std::ranges::sort(query.history);  // the small corpus has no times: its order is that of the ids
    const auto answered = run.top_items(std::span(&query, 1), J);
    for (const ScoredItem& scored : answered[0]) out[static_cast<int64_t>(a)][scored.item] = scored.score;
  }
  return out;
}

TEST(RunTeacher, ScoresOfEveryPrefixAreThoseOfTheRunsOwnListsOnAnyNumberOfRanks) {
  const HistoryLists lists = testing::shuffled_histories(std::vector<int64_t>{3, 10});
  const int64_t A = std::ssize(lists.shown), J = training_corpus().vocabulary().num_items;
  for (const Model& model : {multi_vae_model(), ials_model(), ease_model()}) {
    at::Tensor expected;
    testing::run_ranks(1, [&](Communicator& comm) {
      const Channels channels(comm);
      expected = asked_one_by_one(*trained(model, channels), lists);
    });
    for (const int world_size : {1, 3}) {
      testing::run_ranks(world_size, [&](Communicator& comm) {
        const Channels channels(comm);
        const RowPartition items(J, world_size);
        const Range mine{items.begin(comm.rank()), items.size(comm.rank())};
        RunTeacher teacher(training_corpus(), trained(model, channels), mine, {"runs/a", 0.5, 0.6},
                           item_counts(training_corpus()), at::kDouble);
        teacher.start(comm, to_tensors(lists));
        for_each_range(A, 3, [&](Range positions) {
          const at::Tensor wanted = positions.of(expected).narrow(1, mine.first, mine.count);
          EXPECT_LT(gap(teacher.scores(positions, {0, mine.count}), wanted), 1e-6) << model.name << world_size;
          const at::Tensor counts = item_counts(training_corpus()).narrow(0, mine.first, mine.count);
          EXPECT_LT(gap(teacher.logits(positions, {0, mine.count}), wanted / 0.5 + (counts + 0.5).log() * 0.6), 1e-5);
        });
        EXPECT_NE(teacher.describe().find("runs/a, which has seen the histories"), std::string::npos);
      });
    }
  }
}

/// An L-stage taught by a Multi-VAE of the same ranks, which a run folder would hold. `set` changes the options.
Model taught_model() {
  Model out = cllm4rec_model();
  out.open = [](const ModelOptions& options, const OpenArguments& arguments) {
    OpenArguments with_run{
        .corpus = arguments.corpus,
        .channels = arguments.channels,
        .host = arguments.host,
        .run = arguments.run,
        .to_train = true,
        .open_run = [&](const std::string&) { return trained(multi_vae_model(), arguments.channels); },
        .agreed = arguments.agreed};
    return cllm4rec_model().open(options, with_run);
  };
  return out;
}

Cllm4recOptions taught_options() {
  Cllm4recOptions options = testing::l_stage_options(/*epochs=*/2);
  options.mutual.learning_rate = 1e-2;
  options.prompts.user_token = UserToken::kOff;
  options.objective.target = LossTarget::kSet;
  options.objective.mask_shown = true;
  options.objective.teacher = {.model = TeacherModel::kRun,
                               .run = "/",
                               .alpha = 0.5,
                               .alpha_end = 0.1,
                               .beta = 0.5,
                               .holdout = TeacherHoldout::kNone};
  return options;
}

TEST(RunTaughtCllm4rec, AnyNumberOfRanksMakesTheSameTrainingAndListsAndResumingIsBitwise) {
  const Cllm4recOptions options = taught_options();
  testing::expect_same_training(testing::train_and_rank(taught_model(), options, 3),
                                testing::train_and_rank(taught_model(), options, 1));
  testing::expect_resume_is_bitwise(taught_model(), options, 2, 5);
}

TEST(RunTaughtCllm4rec, AShareThatFallsIsThatOfTheEpoch) {
  TeacherOptions teacher{.alpha = 0.6};
  EXPECT_EQ(teacher.alpha_at(4, 5), 0.6);
  teacher.alpha_end = 0.2;
  EXPECT_DOUBLE_EQ(teacher.alpha_at(0, 5), 0.6);
  EXPECT_DOUBLE_EQ(teacher.alpha_at(2, 5), 0.4);
  EXPECT_DOUBLE_EQ(teacher.alpha_at(4, 5), 0.2);
  EXPECT_DOUBLE_EQ(teacher.alpha_at(0, 1), 0.6);
  // It is what a step uses: the first epoch is that of the constant share, the second is not.
  Cllm4recOptions falling = taught_options(), constant = falling;
  constant.objective.teacher.alpha_end = {};
  const auto a = testing::train_and_rank(taught_model(), falling, 1).losses,
             b = testing::train_and_rank(taught_model(), constant, 1).losses;
  ASSERT_EQ(a.size(), b.size());
  const size_t half = a.size() / 2;
  EXPECT_EQ(a[0], b[0]);
  EXPECT_EQ(a[half - 1], b[half - 1]);
  EXPECT_NE(a[half], b[half]);
}

TEST(RunTaughtCllm4rec, ARunNeedsHoldoutNoneAndAFolderThatIsThere) {
  Cllm4recOptions options = taught_options();
  EXPECT_EQ(options.problem(), "");
  options.objective.teacher.holdout = TeacherHoldout::kLeaveOneOut;
  EXPECT_NE(options.problem().find("set teacher.holdout = \"none\""), std::string::npos);
  options.objective.teacher.holdout = TeacherHoldout::kNone;
  options.objective.teacher.run = "/no/such/run";
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const OpenArguments arguments{
        .corpus = training_corpus(), .channels = channels, .agreed = [](const std::function<void()>& work) { work(); }};
    EXPECT_THROW(make_soft_labels(options.objective, arguments), OptionError);
  });
  options.objective.teacher.model = TeacherModel::kNone;
  EXPECT_NE(options.problem().find("teacher.alpha_end"), std::string::npos);
}

/// Each with contrast terms and weights per user.
TEST(ContrastedCllm4rec, AnyNumberOfRanksMakesTheSameTrainingWithEveryTargetAndHead) {
  for (const LossTarget target : {LossTarget::kNext, LossTarget::kSet}) {
    Cllm4recOptions options = testing::l_stage_options(/*epochs=*/1);
    options.mutual.learning_rate = 1e-2;
    options.prompts.user_token = UserToken::kOff;
    options.head = target == LossTarget::kSet ? HeadKind::kCosine : HeadKind::kDot;
    options.objective.target = target;
    options.objective.label_weight = LabelWeight::kUser;
    options.objective.contrast = {.uniformity = 0.5, .contrastive = 0.7, .temperature = 0.2};
    const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
    testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, 3), one);
    options.objective.contrast = {};
    const testing::Trained without = testing::train_and_rank(cllm4rec_model(), options, 1);
    EXPECT_NE(without.losses.back(), one.losses.back());
  }
}

}  // namespace run_teachers

}  // namespace
}  // namespace cllm
