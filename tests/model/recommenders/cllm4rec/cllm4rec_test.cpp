#include "model/recommenders/cllm4rec/cllm4rec.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "model/backbones/load_backbone.h"
#include "model/step/encode.h"
#include "tests/model/recommenders/cllm4rec/l_stage.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

constexpr uint64_t kSeed = 3;

Cllm4recOptions ranking_options(int64_t orders) {
  Cllm4recOptions options = testing::l_stage_options();
  options.orders = orders;
  return options;
}

/// Scores [users, J] of one order of every history, from a sampler and a backbone alike those of the model.
at::Tensor scores_of_order(Communicator& comm, const Cllm4recOptions& options, const Table& table, int64_t order) {
  const Corpus& corpus = testing::training_corpus();
  const Tokenizer tokenizer = Tokenizer::load(corpus.tokenizer_dir());
  const PromptOptions texts;
  const auto compile = [&](const std::string& text) { return PromptTemplate::compile(text, tokenizer); };
  const auto backbone = random_backbone(options.backbone, kSeed, {at::kDouble, at::kDouble, at::kCPU, false});
  const Sampler sampler(corpus,
                        {.collaborative = compile(texts.collaborative),
                         .recommendation = compile(texts.recommendation_paper),
                         .review = compile(texts.review),
                         .biography = compile(texts.biography),
                         .item_content = compile(texts.item_prompt("content"))},
                        {.loss = options.loss, .shape = {}, .seed = kSeed, .max_positions = backbone->max_positions()});
  RowExchange exchange(comm, table.layout);
  const auto prompts = sampler.ranking_prompts(testing::questions(0, 1), StepKind::kCollaborative, order);
  return at::mm(encode(exchange, *backbone, table, prompts), table.items().t());
}

TEST(Cllm4rec, ScoresAreTheMeanOfThoseOfTheItemOrders) {
  testing::run_ranks(1, [](Communicator& comm) {
    const Channels channels(comm);
    const auto queries = testing::questions(0, 1);
    for (const int64_t orders : {1, 3}) {
      const Cllm4recOptions options = ranking_options(orders);
      const auto model = testing::open_in_fp64(cllm4rec_model(), options, channels, kSeed);
      model->rank_as(static_cast<int>(Stage::kMutual));
      const Table& table = *model->store().tables[0].table;
      const at::Tensor first = scores_of_order(comm, options, table, 0);
      at::Tensor mean = at::zeros_like(first);
      for (int64_t order = 0; order < orders; ++order)
        mean += scores_of_order(comm, options, table, order) / static_cast<double>(orders);
      EXPECT_EQ((mean - first).abs().max().item<double>() > 1e-6, orders > 1);
      const auto lists = model->top_items(queries, first.size(1));
      for (size_t user = 0; user < lists.size(); ++user) {
        EXPECT_EQ(lists[user].size(), static_cast<size_t>(first.size(1)) - queries[user].masked.size());
        for (const ScoredItem& entry : lists[user])
          EXPECT_NEAR(entry.score, mean[static_cast<int64_t>(user)][entry.item].item<double>(), 1e-10);
      }
    }
  });
}

TEST(Cllm4rec, AnyNumberOfRanksAveragesTheSameOrders) {
  const testing::Trained one = testing::train_and_rank(cllm4rec_model(), ranking_options(3), 1);
  testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), ranking_options(3), 2), one);
}

TEST(Cllm4rec, OneOrderHasNoMeanOfOrders) {
  Cllm4recOptions options = ranking_options(2);
  EXPECT_EQ(options.problem(), "");
  options.loss.item_order = ItemOrder::kAscending;
  EXPECT_NE(options.problem().find("ranking.orders"), std::string::npos);
}

}  // namespace
}  // namespace cllm
