#include "model/recommenders/titles/title_search.h"

#include <gtest/gtest.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "model/backbones/load_backbone.h"
#include "model/recommenders/word_step.h"
#include "model/step/encode.h"
#include "tests/model/recommenders/titles/small_titles.h"

namespace cllm {
namespace {

namespace title_search {

constexpr int64_t kItems = 40;

struct Fixture {
  testing::SmallGpt2 folder{128};
  std::shared_ptr<Backbone> backbone =
      random_backbone(folder.dir(), 5, {.parameters = at::kDouble, .compute = at::kDouble});
  TitleTrie trie{testing::random_titles(kItems, 6), testing::kTitleEnd, std::vector<double>(kItems)};
  std::vector<TitleQuestion> questions{{{99, 7, 8, 99}, {}}, {{99, 9}, {0, 2, 3}}, {{99}, {}}};
  TitleSearch search{*backbone, trie, at::kCPU};

  /// ln P of the next token after these, over all words.
  at::Tensor next(const std::vector<int32_t>& tokens) const {
    const at::NoGradGuard no_grad;
    Batch batch;
    batch.vocabulary.num_words = 128;
    batch.token_ids = tokens;
    batch.sequence_offsets = {0, static_cast<int32_t>(tokens.size())};
    batch.active_rows = {static_cast<int32_t>(tokens.size()) - 1};
    batch.target_offsets = {0, 0};
    const BatchTensors tensors = make_tensors(batch, false, at::kCPU);
    const at::Tensor hidden = hidden_states(*backbone, tensors.layout, word_inputs(*backbone, tensors.tokens), {});
    return at::log_softmax(hidden.matmul(backbone->text_head().t())[0], 0);
  }
  /// Token by token, over all words or over those that the titles go on with.
  double slow_score(const TitleQuestion& question, int32_t leaf, bool restricted) const {
    std::vector<int32_t> tokens = question.prompt;
    double score = 0;
    int32_t n = TitleTrie::kRoot;
    for (const int32_t token : trie.tokens(leaf)) {
      const at::Tensor log_p = next(tokens);
      score += log_p[token].item<double>();
      double sum = 0;
      for (const TitleTrie::Node& child : trie.children(trie.node(n)))
        sum += std::exp(log_p[child.token].item<double>());
      if (restricted) score -= std::log(sum);
      tokens.push_back(token);
      n = trie.child(n, token);
    }
    return score;
  }
};

TEST(TitleSearch, WithAsManyBeamsAsTitlesFindsWhatScoringEveryTitleFinds) {
  const Fixture f;
  for (const bool restricted : {false, true}) {
    const auto found = f.search.best(f.questions, {.beams = kItems, .softmax = {.restricted = restricted}});
    for (size_t q = 0; q < f.questions.size(); ++q) {
      std::vector<ScoredTitle> wanted;
      for (int32_t leaf = 0; leaf < f.trie.num_leaves(); ++leaf) {
        if (std::ranges::find(f.questions[q].dead_leaves, leaf) == f.questions[q].dead_leaves.end())
          wanted.push_back({leaf, f.slow_score(f.questions[q], leaf, restricted)});
      }
      std::sort(wanted.begin(), wanted.end());
      ASSERT_EQ(found[q].size(), wanted.size());
      for (size_t n = 0; n < wanted.size(); ++n) {
        EXPECT_EQ(found[q][n].leaf, wanted[n].leaf);
        EXPECT_NEAR(found[q][n].score, wanted[n].score, 1e-11);
      }
    }
  }
}

TEST(TitleSearch, FewBeamsGiveAsManyDifferentTitlesThatMayBeAnsweredWithTheirExactScores) {
  const Fixture f;
  for (const bool restricted : {false, true}) {
    const auto found = f.search.best(f.questions, {.beams = 5, .softmax = {.restricted = restricted}});
    for (size_t q = 0; q < f.questions.size(); ++q) {
      EXPECT_EQ(found[q].size(), 5U);
      EXPECT_TRUE(std::is_sorted(found[q].begin(), found[q].end()));
      std::set<int32_t> distinct;
      for (const ScoredTitle& title : found[q]) {
        distinct.insert(title.leaf);
        EXPECT_EQ(std::ranges::count(f.questions[q].dead_leaves, title.leaf), 0);
        EXPECT_NEAR(title.score, f.slow_score(f.questions[q], title.leaf, restricted), 1e-11);
      }
      EXPECT_EQ(distinct.size(), 5U);
    }
  }
}

TEST(TitleSearch, AQuestionWithoutAnswersGetsNone) {
  Fixture f;
  TitleQuestion none{{99}, {}};
  for (int32_t leaf = 0; leaf < f.trie.num_leaves(); ++leaf) none.dead_leaves.push_back(leaf);
  const auto found = f.search.best(std::vector<TitleQuestion>{none, f.questions[0]}, {.beams = 3});
  EXPECT_TRUE(found[0].empty());
  EXPECT_EQ(found[1].size(), 3U);
}

}  // namespace title_search
}  // namespace
}  // namespace cllm
