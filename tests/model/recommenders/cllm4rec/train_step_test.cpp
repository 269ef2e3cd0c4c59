#include "model/recommenders/cllm4rec/train_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include "tests/model/recommenders/cllm4rec/small_model.h"
#include "tests/support/gradient_sum.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using namespace testing;

struct History {
  std::vector<StepLosses> losses;
  at::Tensor collaborative = at::zeros({kUsers + kItems, kWidth}, at::kDouble), content = collaborative.clone();
};

/// Alternating steps; tables are put together from the ranks.
History train(int world_size, const StepConfig& config, bool once_per_group) {
  History run;
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const RowLayout layout(kUsers, kItems, comm.rank(), world_size);
    const auto optimizer = make_row_optimizer({});
    RecModel model = small_model(comm, *optimizer);
    TrainStep step(comm, model, *optimizer);
    for (int n = 0; n < 6; ++n) {
      RecBatch batch = batch_of(n % 2 == 0 ? StepKind::kCollaborative : StepKind::kContent, comm.rank(), world_size);
      batch.mr.once_per_group = once_per_group;
      const StepLosses losses = step.run(batch, config);
      if (comm.rank() == 0) run.losses.push_back(losses);
    }
    optimizer->flush(model.collaborative);
    optimizer->flush(model.content);
    for (int64_t local = 0; local < layout.num_local_rows(); ++local) {
      run.collaborative[layout.global(local)] = model.collaborative.weight[local];
      run.content[layout.global(local)] = model.content.weight[local];
    }
  });
  return run;
}

TEST(TrainStep, AnyNumberOfRanksMakesTheSameRun) {
  for (const bool once_per_group : {true, false}) {
    const StepConfig config{.lambda = 0.3, .learning_rate = 1e-2};
    const History one = train(1, config, once_per_group);
    for (const int world_size : {2, 3, 4}) {
      for (const ItemSoftmax form : {ItemSoftmax::kSharded, ItemSoftmax::kGathered}) {
        StepConfig with_form = config;
        with_form.item_softmax = form;
        const History many = train(world_size, with_form, once_per_group);
        for (size_t n = 0; n < one.losses.size(); ++n) {
          EXPECT_NEAR(many.losses[n].loss, one.losses[n].loss, 1e-12) << world_size << " ranks, step " << n;
          EXPECT_NEAR(many.losses[n].term("mr"), one.losses[n].term("mr"), 1e-12) << world_size << " ranks, step " << n;
        }
        EXPECT_TRUE(at::allclose(many.collaborative, one.collaborative, 0, 1e-11));
        EXPECT_TRUE(at::allclose(many.content, one.content, 0, 1e-11));
      }
    }
  }
}

TEST(TrainStep, ASampledSoftmaxMakesTheSameRunOnAnyNumberOfRanks) {
  const StepConfig config{
      .lambda = 0.3, .learning_rate = 1e-2, .item_softmax = ItemSoftmax::kSampled, .negatives = 4, .negative_key = 3};
  const History one = train(1, config, true);
  for (const int world_size : {2, 4}) {
    const History many = train(world_size, config, true);
    EXPECT_NEAR(many.losses.back().loss, one.losses.back().loss, 1e-12);
    EXPECT_TRUE(at::allclose(many.collaborative, one.collaborative, 0, 1e-11));
    EXPECT_TRUE(at::allclose(many.content, one.content, 0, 1e-11));
  }
}

TEST(TrainStep, MoreRanksThanSequencesMakeTheSameRun) {
  const StepConfig config{.lambda = 0.3, .learning_rate = 1e-2};
  const History one = train(1, config, true), many = train(9, config, true);
  EXPECT_NEAR(many.losses.back().loss, one.losses.back().loss, 1e-12);
  EXPECT_TRUE(at::allclose(many.collaborative, one.collaborative, 0, 1e-11));
}

TEST(TrainStep, TheSameRunTwiceIsBitwiseEqual) {
  const StepConfig config{.lambda = 0.3, .learning_rate = 1e-2};
  const History first = train(3, config, false), second = train(3, config, false);
  EXPECT_TRUE(at::equal(first.collaborative, second.collaborative) && at::equal(first.content, second.content));
  EXPECT_EQ(first.losses.back().loss, second.losses.back().loss);
}

/// The world of one rank that single steps run in.
template <typename Body>
void with_step(Body&& body) {
  testing::run_ranks(1, [&](Communicator& comm) {
    const auto optimizer = make_row_optimizer({});
    RecModel model = small_model(comm, *optimizer);
    TrainStep step(comm, model, *optimizer);
    body(step, model);
  });
}

TEST(TrainStep, WithoutLambdaTheRegulariserIsReportedOnlyOnDemandAndMovesNothing) {
  with_step([](TrainStep& step, RecModel&) {
    const RecBatch batch = batch_of(StepKind::kCollaborative, 0, 1);
    kernels::RowGradient silent, reported;
    EXPECT_EQ(step.gradients(batch, {.lambda = 0}, silent).term("mr"), 0);
    const StepLosses losses = step.gradients(batch, {.lambda = 0, .report_mr = true}, reported);
    EXPECT_GT(losses.term("mr"), 0);
    EXPECT_EQ(losses.loss, losses.term("lm"));
    EXPECT_FALSE(reported.fixed_ND.defined());
    EXPECT_TRUE(at::equal(silent.parts_PD, reported.parts_PD) && at::equal(silent.head_ID, reported.head_ID));
  });
}

TEST(TrainStep, GradientsEqualFiniteDifferences) {
  for (const auto& [kind, form] : {std::pair{StepKind::kCollaborative, ItemSoftmax::kSharded},
                                   {StepKind::kCollaborative, ItemSoftmax::kSampled},
                                   {StepKind::kContent, ItemSoftmax::kSharded}}) {
    with_step([&](TrainStep& step, RecModel& model) {
      const RecBatch batch = batch_of(kind, 0, 1);
      kernels::RowGradient gradients, unused;
      const StepConfig config{.lambda = 0.7, .item_softmax = form, .negatives = 3, .negative_key = 8};
      step.gradients(batch, config, gradients);
      at::Tensor& weight = (kind == StepKind::kContent ? model.content : model.collaborative).weight;
      const at::Tensor sum_MD = testing::gradient_sum(gradients, weight);
      for (int64_t m = 0; m < gradients.rows_M.size(0); ++m) {
        at::Tensor element = weight[gradients.rows_M[m].item<int64_t>()][m % kWidth];
        const double value = element.item<double>(), e = 1e-5;
        element.fill_(value + e);
        const double above = step.gradients(batch, config, unused).loss;
        element.fill_(value - e);
        const double below = step.gradients(batch, config, unused).loss;
        element.fill_(value);
        EXPECT_NEAR(sum_MD[m][m % kWidth].item<double>(), (above - below) / (2 * e), 1e-8);
      }
    });
  }
}

TEST(TrainStep, RowsGetAShareOfTheirGradientAsInputsAndAllOfThatAsOutputs) {
  with_step([](TrainStep& step, RecModel& model) {
    const RecBatch batch = batch_of(StepKind::kCollaborative, 0, 1);
    const auto with_share = [&](double share) {
      kernels::RowGradient gradients;
      step.gradients(batch, {.lambda = 0, .input_gradient = share}, gradients);
      return testing::gradient_sum(gradients, model.collaborative.weight);
    };
    const at::Tensor none = with_share(0), all = with_share(1);
    EXPECT_FALSE(at::allclose(none, all, 0, 1e-3));
    EXPECT_TRUE(at::allclose(with_share(0.25), none + (all - none) * 0.25, 0, 1e-12));
  });
}

TEST(TrainStep, ATrainableBackboneGetsTheSumOverRanks) {
  const auto gradients_with = [](int world_size) {
    std::vector<at::Tensor> out;
    testing::run_ranks(world_size, [&](Communicator& comm) {
      const auto optimizer = make_row_optimizer({});
      RecModel model = small_model(comm, *optimizer);
      model.backbone->set_trainable(true);
      TrainStep step(comm, model, *optimizer);
      kernels::RowGradient unused;
      step.gradients(batch_of(StepKind::kContent, comm.rank(), world_size), {}, unused);
      if (comm.rank() == 0) {
        for (const auto& [name, parameter] : model.backbone->parameters()) out.push_back(parameter.grad().clone());
      }
    });
    return out;
  };
  const auto one = gradients_with(1), three = gradients_with(3);
  for (size_t n = 0; n < one.size(); ++n) {
    EXPECT_GT(one[n].abs().sum().item<double>(), 0);
    EXPECT_TRUE(at::allclose(one[n], three[n], 0, 1e-12));
  }
}

TEST(TrainStep, RegularisingARowThatNoSequenceReadsIsAnError) {
  with_step([](TrainStep& step, RecModel&) {
    RecBatch batch = batch_of(StepKind::kContent, 0, 1);
    batch.mr.covered.push_back({kVocabulary.row_of(kVocabulary.item_token(3)), 0, 1});
    kernels::RowGradient unused;
    EXPECT_THROW(step.gradients(batch, {}, unused), c10::Error);
  });
}

}  // namespace
}  // namespace cllm
