#include "model/recommenders/cllm4rec/text/make_text_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <mutex>

#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "tests/model/recommenders/cllm4rec/small_model.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

namespace made_of_text {

using testing::gap;
using ::testing::HasSubstr;
using testing::kItems;
using testing::kUsers;
using testing::kWidth;
using testing::normal;

constexpr int64_t kDims = 3;

Cllm4recOptions text_options(const std::string& source) {
  Cllm4recOptions options;
  options.backbone = "none";
  options.bag_width = 6;
  options.warmup.epochs = options.finetune.epochs = 0;
  options.mutual.epochs = 2;
  options.mutual.learning_rate = 0.05;
  options.mutual.content_epochs = options.finetune.content_epochs = false;
  options.lambda_collaborative = options.lambda_content = options.lambda_finetune = 0;
  options.optimizer.name = "lazy_adam";
  options.group_size = 6;
  options.text_rows = {.source = source, .dims = 5, .bound = 0.1, .rate = 0.5};
  return options;
}

/// A small model whose items have texts. `bump`: added to element `at` of the map.
RecModel model_with_text(const Communicator& comm, const RowOptimizer& optimizer, int64_t at, double bump) {
  RecModel model = testing::small_model(comm, optimizer);
  const RowLayout& layout = model.collaborative.layout;
  Table vectors = make_table(layout, at::zeros({kUsers, kDims}, at::kDouble), normal({kItems, kDims}, 4));
  at::Tensor map_dD = normal({kDims, kWidth}, 5);
  map_dD.mutable_data_ptr<double>()[at] += bump;
  model.text = std::make_shared<TextRows>(std::move(vectors), map_dD.requires_grad_(true), 10);
  return model;
}

struct Step {
  double loss = 0;
  at::Tensor map_gradient;
};

Step step_of(int world_size, ItemSoftmax form, int64_t at, double bump) {
  Step out;
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto optimizer = make_row_optimizer({.name = "lazy_adam"});
    RecModel model = model_with_text(comm, *optimizer, at, bump);
    TrainStep step(channels, model, *optimizer);
    kernels::RowGradient rows;
    const RecBatch batch = testing::batch_of(StepKind::kCollaborative, comm.rank(), world_size);
    const StepLosses losses =
        step.gradients(batch, {.lambda = 0, .item_softmax = form, .negatives = 4, .negative_key = 8}, rows);
    at::Tensor sum = model.text->parameters()[0].second.grad().clone();
    comm.all_reduce(sum, ReduceOp::kSum);
    if (comm.rank() == 0) out = {losses.loss, sum};
  });
  return out;
}

TEST(MakeTextRows, TheGradientOfTheMapIsThatOfTheLossInEveryFormAtAnyNumberOfRanks) {
  constexpr double kStep = 1e-5;
  for (const ItemSoftmax form : {ItemSoftmax::kSharded, ItemSoftmax::kGathered, ItemSoftmax::kSampled}) {
    const at::Tensor gradient = step_of(1, form, 0, 0).map_gradient;
    for (int64_t at = 0; at < kDims * kWidth; ++at) {
      const double slope = (step_of(1, form, at, kStep).loss - step_of(1, form, at, -kStep).loss) / (2 * kStep);
      EXPECT_NEAR(gradient.flatten()[at].item<double>(), slope, 1e-7);
    }
    for (const int world_size : {2, 3, 4})
      EXPECT_LT(gap(step_of(world_size, form, 0, 0).map_gradient, gradient), 1e-11) << world_size << " ranks";
  }
}

TEST(MakeTextRows, TrainingIsTheSameForAnyNumberOfRanksAndAResumedOneBitwise) {
  for (const HeadKind head : {HeadKind::kStandardised, HeadKind::kCosine}) {
    Cllm4recOptions options = text_options("tf-idf");
    options.head = head;
    const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
    for (const int world_size : {2, 3})
      testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, world_size), one);
    testing::expect_resume_is_bitwise(cllm4rec_model(), options, 2, 5);
    EXPECT_GT(one.losses.front(), one.losses.back());
    // Items have texts: their own parts keep the bound.
    const at::Tensor own = one.tensors.at("l").narrow(0, testing::kSmallUsers, testing::kSmallItems);
    EXPECT_LE(at::linalg_vector_norm(own, 2, at::IntArrayRef{1}).max().item<double>(), 0.1 + 1e-12);
    EXPECT_GT(own.abs().max().item<double>(), 0);
  }
}

TEST(MakeTextRows, TheMapTrainsBesideAdaptersAndBesideAWholeBackbone) {
  for (const bool whole : {false, true}) {
    Cllm4recOptions options = text_options("tf-idf");
    options.backbone = testing::shared("backbones/gpt2-mini-8k").string();
    options.train_backbone = whole;
    options.adapters = {.rank = whole ? 0 : 2, .alpha = 4};
    options.adapters_rate = 1e-2;
    options.mutual.epochs = 1;
    const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
    testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, 2), one);
    testing::expect_resume_is_bitwise(cllm4rec_model(), options, 2, 1);
    testing::run_ranks(1, [&](Communicator& comm) {
      const Channels channels(comm);
      const auto model = testing::open_in_fp64(cllm4rec_model(), options, channels);
      const testing::SavedStore start = testing::save(model->store());
      testing::train(*model, 0, 2);
      const testing::SavedStore trained = testing::save(model->store());
      EXPECT_EQ(trained.dense_steps, (std::vector<int64_t>{2, 2}));
      EXPECT_FALSE(at::equal(start.dense.front(), trained.dense.front())) << "of the backbone";
      const size_t map = trained.dense.size() - 3;  // the last parameter, before its moments
      EXPECT_FALSE(at::equal(start.dense[map], trained.dense[map])) << "the map";
    });
  }
}

TEST(MakeTextRows, ListsAreThoseOfComposedRows) {
  testing::run_ranks(1, [](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(cllm4rec_model(), text_options("tf-idf"), channels);
    testing::train(*model, 0, 3);
    model->flush([] {});
    const Store store = model->store();
    ASSERT_EQ(store.tables.back().name, "t");
    const Table &own = *store.tables[0].table, &text = *store.tables.back().table;
    const at::Tensor rows = own.weight + at::mm(text.weight, store.trained()[0].value);
    EXPECT_LT(gap(own.rows(), rows), 1e-13);
    const int64_t with_text = (text.items().abs().sum(1) > 0).sum().item<int64_t>();
    EXPECT_THAT(model->describe(), ::testing::HasSubstr("make the rows of " + std::to_string(with_text) + " of " +
                                                        std::to_string(testing::kSmallItems) + " items"));
    const at::Tensor items = rows.narrow(0, testing::kSmallUsers, testing::kSmallItems);
    // Of a bag the hidden state is a mean of rows: the user's token and one item.
    model->rank_as(1);
    const RankingQuery query{.user = 3, .history = {4}, .masked = {4}};
    const auto list = model->top_items(std::span(&query, 1), 5)[0];
    const at::Tensor scores = at::mm((rows[3] + items[4]).unsqueeze(0) / 2, items.t())[0];
    for (const ScoredItem& entry : list) EXPECT_NEAR(entry.score, scores[entry.item].item<double>(), 1e-10);
  });
}

TEST(MakeTextRows, OfTextMeanTheMapStartsNearTheMeansOfTheWords) {
  testing::run_ranks(1, [](Communicator& comm) {
    const Channels channels(comm);
    Cllm4recOptions options = text_options("backbone");
    options.backbone = testing::shared("backbones/gpt2-mini-8k").string();
    options.random_backbone = true;
    options.initial_tables = InitialTables::kTextMean;
    options.initial_std = 0;
    options.text_rows.dims = 256;
    const auto fitted = testing::open_in_fp64(cllm4rec_model(), options, channels);
    options.text_rows.source = "none";
    const auto free = testing::open_in_fp64(cllm4rec_model(), options, channels);
    fitted->flush([] {});
    const at::Tensor want = free->store().tables[0].table->items(), have = fitted->store().tables[0].table->items();
    const at::Tensor mean = want.mean(0);  // whitened vectors have none
    EXPECT_LT(gap(have - have.mean(0), want - mean), 1e-3 * want.abs().max().item<double>());
  });
}

TEST(MakeTextRows, OfSourcesSideBySideOneTwiceTellsWhatItTellsOnce) {
  testing::run_ranks(1, [](Communicator& comm) {
    const Channels channels(comm);
    const auto products = [&](const std::string& source) {
      const auto model = testing::open_in_fp64(cllm4rec_model(), text_options(source), channels);
      const at::Tensor vectors = model->store().tables.back().table->weight;
      return at::mm(vectors, vectors.t());  // directions may be turned
    };
    const at::Tensor once = products("tf-idf");
    EXPECT_GT(once.abs().max().item<double>(), 0);
    EXPECT_LT(gap(products("tf-idf + tf-idf"), once), 1e-9);
  });
}

TEST(MakeTextRows, WhatDoesNotGoTogetherIsAProblem) {
  Cllm4recOptions options = text_options("tf-idf");
  EXPECT_EQ(options.problem(), "");
  options.optimizer.name = "adam";
  EXPECT_THAT(options.problem(), HasSubstr("set \"lazy_adam\""));
  options = text_options("tf-idf");
  options.lambda_content = 1;
  EXPECT_THAT(options.problem(), HasSubstr("set loss.lambda = 0"));
  options = text_options("backbone");
  EXPECT_THAT(options.problem(), HasSubstr("rows.text.source = \"backbone\": set \"tf-idf\""));
  options = text_options("none");
  options.initial_tables = InitialTables::kTextMean;
  EXPECT_THAT(options.problem(), HasSubstr("set \"normal\""));
  options = text_options("none");
  options.warmup.epochs = 1;
  EXPECT_THAT(options.problem(), HasSubstr("predicts no words"));
}

}  // namespace made_of_text
}  // namespace
}  // namespace cllm
