#include "model/recommenders/cllm4rec/words/word_set.h"

#include <ATen/TensorIndexing.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <gtest/gtest.h>

#include <set>

#include "model/backbones/load_backbone.h"
#include "model/recommenders/cllm4rec/options.h"
#include "model/recommenders/cllm4rec/train_step.h"
#include "tests/model/recommenders/cllm4rec/sampler_fixture.h"
#include "tests/model/recommenders/training.h"
#include "tests/support/gradient_sum.h"

namespace cllm {
namespace word_set_tests {

using sampler_tests::corpus;

std::string backbone_dir() { return testing::shared("backbones/gpt2-mini-8k").string(); }

WordSet words_of_corpus() {
  static PromptSet prompts = sampler_tests::prompts();
  const auto all = prompts.all();
  return WordSet(corpus(), {all.begin(), all.end()});
}

std::set<int32_t> words_in_texts() {
  std::set<int32_t> out;
  for (int64_t n = 0; n < corpus().num_texts(); ++n) {
    const auto tokens = corpus().text(n).tokens;
    out.insert(tokens.begin(), tokens.end());
  }
  return out;
}

std::shared_ptr<Backbone> backbone_with(const WordSet& words) {
  return load_backbone(backbone_dir(), {.parameters = at::kDouble, .compute = at::kDouble, .words = words.kept()});
}

/// Loss and gradients of the content rows [I + J, D] of a step.
struct Step {
  StepLosses losses;
  at::Tensor gradients;
};

Step step_of(StepKind kind, const WordSet& words) {
  Step out;
  testing::run_ranks(1, [&](Communicator& comm) {
    SamplerOptions options = sampler_tests::small_batches();
    options.words = words;
    const RecBatch batch = sampler_tests::sampler(options).batch({.kind = kind}, 0, 1);
    const Vocabulary& of_corpus = corpus().vocabulary();
    const RowLayout layout(of_corpus.num_users, of_corpus.num_items, 0, 1);
    const auto backbone = backbone_with(words);
    RecModel model{backbone, make_random_table(layout, backbone->width(), at::kDouble, 1, Side::kCollaborative),
                   make_random_table(layout, backbone->width(), at::kDouble, 1, Side::kContent)};
    const auto optimizer = make_row_optimizer({});
    optimizer->reset(model.collaborative);
    optimizer->reset(model.content);
    TrainStep step(comm, model, *optimizer);
    kernels::RowGradient gradients;
    out.losses = step.gradients(batch, {.lambda = 0, .predicted_words = words.num_predicted()}, gradients);
    const Table& trained = kind == StepKind::kContent ? model.content : model.collaborative;
    out.gradients = at::zeros_like(trained.weight)
                        .index_add_(0, gradients.rows_M, testing::gradient_sum(gradients, trained.weight));
  });
  return out;
}

TEST(WordSet, HasTheWordsOfTheTextsThenThoseOfThePrompts) {
  const WordSet words = words_of_corpus();
  const std::set<int32_t> texts = words_in_texts();
  const auto first = words.kept().begin();
  EXPECT_EQ(std::vector<int32_t>(texts.begin(), texts.end()),
            std::vector<int32_t>(first, first + words.num_predicted()));
  for (int32_t n = 0; n < std::ssize(words.kept()); ++n) EXPECT_EQ(words.own(words.kept()[static_cast<size_t>(n)]), n);
  std::set<int32_t> others(first + words.num_predicted(), words.kept().end());
  EXPECT_FALSE(others.empty());
  PromptSet prompts = sampler_tests::prompts();
  for (const PromptTemplate* prompt : prompts.all()) {
    for (const PromptPiece& piece : prompt->pieces()) {
      if (piece.kind != PromptPiece::Kind::kWord) continue;
      EXPECT_GE(words.own(piece.word), 0);
      others.erase(piece.word);
    }
  }
  EXPECT_TRUE(others.empty());
}

/// The C-step by the tokenizer's ids, whole matrices of logits and autograd: logits of words that no text has are
/// -infinity.
TEST(WordSet, ContentStepsAreThoseOfASoftmaxOverTheWordsOfTheTexts) {
  const RecBatch batch = sampler_tests::sampler().batch({.kind = StepKind::kContent}, 0, 1);
  const auto backbone = backbone_with({});
  const RowLayout layout(corpus().vocabulary().num_users, corpus().vocabulary().num_items, 0, 1);
  const at::Tensor rows = make_random_table(layout, backbone->width(), at::kDouble, 1, Side::kContent).weight;
  rows.set_requires_grad(true);
  const at::Tensor ids = at::tensor(batch.token_ids, at::kLong);
  const at::Tensor x_TD = at::cat({backbone->word_embedding(), rows}).index_select(0, ids);
  PackedLayout packed = make_layout(batch, at::kCPU, false);
  packed.output_rows_A = at::tensor(batch.active_rows, at::kLong);
  const at::Tensor logits = at::mm(backbone->forward(x_TD, packed, {}), backbone->text_head().t());
  at::Tensor closed_N = at::full({backbone->num_words()}, -INFINITY, at::kDouble);
  for (const int32_t word : words_in_texts()) closed_N[word] = 0;
  const at::Tensor log_p = at::log_softmax(logits + closed_N, 1);
  const at::Tensor target = at::tensor(batch.targets, at::kLong).unsqueeze(1);  // one per position
  const at::Tensor loss = -(at::tensor(batch.target_weights, at::kDouble) * log_p.gather(1, target).squeeze(1)).sum();
  loss.backward();

  const Step step = step_of(StepKind::kContent, words_of_corpus());
  EXPECT_NEAR(step.losses.loss, loss.item<double>(), 1e-10);
  EXPECT_LT((step.gradients - rows.grad()).abs().max().item<double>(), 1e-10);
  const Step full = step_of(StepKind::kContent, {});
  EXPECT_GT(full.losses.loss, step.losses.loss);  // a sum over more words
}

TEST(WordSet, StepsOfItemsDoNotKnowHowManyWordsAreHeld) {
  const Step all = step_of(StepKind::kCollaborative, {}), some = step_of(StepKind::kCollaborative, words_of_corpus());
  EXPECT_EQ(all.losses.loss, some.losses.loss);
  EXPECT_TRUE(at::equal(all.gradients, some.gradients));
}

TEST(WordSet, ARunHoldsTheRowsThatItMeetsAndResumesBitForBit) {
  Cllm4recOptions options;
  options.backbone = backbone_dir();
  options.vocabulary = ContentVocabulary::kCorpus;
  options.initial_tables = InitialTables::kTextMean;
  options.warmup.epochs = 1;
  options.mutual.epochs = options.finetune.epochs = 0;
  EXPECT_EQ(options.problem(), "");
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(*find_model("cllm4rec"), options, channels);
    EXPECT_NE(model->describe().find(" occur in the corpus' texts"), std::string::npos) << model->describe();
    EXPECT_LT(model->store().frozen.front().value.size(0), 500);
  });
  testing::expect_resume_is_bitwise(*find_model("cllm4rec"), options, 1, 3);
}

TEST(WordSet, ATrainedBackboneKeepsItsWords) {
  Cllm4recOptions options;
  options.vocabulary = ContentVocabulary::kCorpus;
  options.train_backbone = true;
  EXPECT_NE(options.problem().find("content.vocabulary"), std::string::npos);
}

}  // namespace word_set_tests
}  // namespace cllm
