#include "model/recommenders/titles/titles.h"

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "model/errors.h"
#include "tests/model/recommenders/titles/small_titles.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

namespace titles {

const std::string& small_backbone() {
  static const testing::SmallGpt2 folder(8192);  // as many words as the corpus' tokenizer
  static const std::string dir = folder.dir();
  return dir;
}

constexpr int32_t kEnd = 8191;  // of that backbone

TitlesOptions small(TeacherModel teacher = TeacherModel::kNone, double alpha = 0.3) {
  TitlesOptions options = testing::small_titles_options(small_backbone());
  options.objective.teacher.model = teacher;
  options.objective.teacher.alpha = alpha;
  options.objective.teacher.popularity = 1;
  return options;
}

/// Adapters and the whole backbone, full and restricted, without a teacher and with two of them.
std::vector<TitlesOptions> kinds() {
  TitlesOptions whole = small(TeacherModel::kPopularity);
  whole.adapters.rank = 0;
  whole.train_backbone = true;
  whole.targets = TitleTargets::kLast;
  TitlesOptions restricted = small(TeacherModel::kEase);
  restricted.softmax = TitleSoftmax::kRestricted;
  restricted.temperature = 4.5;
  restricted.objective.teacher.beta = 0.5;
  return {small(), whole, restricted};
}

TEST(Titles, TrainingAndListsDoNotDependOnTheWorldSize) {
  for (const TitlesOptions& options : kinds()) {
    const testing::Trained one = testing::train_and_rank(titles_model(), options, 1);
    for (const int R : {2, 3}) testing::expect_same_training(testing::train_and_rank(titles_model(), options, R), one);
  }
}

TEST(Titles, StopAndGoOnGivesTheSameBits) {
  for (const TitlesOptions& options : kinds()) testing::expect_resume_is_bitwise(titles_model(), options, 2, 3);
}

TEST(Titles, WithAlphaZeroATeacherChangesNoBit) {
  const testing::Trained plain = testing::train_and_rank(titles_model(), small(), 1),
                         taught = testing::train_and_rank(titles_model(), small(TeacherModel::kEase, 0), 1),
                         other = testing::train_and_rank(titles_model(), small(TeacherModel::kEase, 0.5), 1);
  EXPECT_EQ(taught.losses, plain.losses);
  EXPECT_NE(other.losses, plain.losses);
  for (const auto& [name, tensor] : plain.tensors) EXPECT_TRUE(at::equal(tensor, taught.tensors.at(name))) << name;
  EXPECT_EQ(taught.lists, plain.lists);
}

TEST(Titles, TrainingLowersTheLoss) {
  for (TitlesOptions options : kinds()) {
    options.epochs = 12;
    const testing::Trained trained = testing::train_and_rank(titles_model(), options, 1);
    const double first = std::reduce(trained.losses.begin(), trained.losses.begin() + 4) / 4,
                 last = std::reduce(trained.losses.end() - 4, trained.losses.end()) / 4;
    EXPECT_LT(last, (options.train_backbone ? 0.7 : 0.995) * first);  // beside random matrices adapters can do little
  }
}

TEST(Titles, ListsHoldUnmaskedItemsOnceAndThoseOfOneTitleByPopularity) {
  testing::training_corpus();
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto opened = testing::open_in_fp64(titles_model(), small(), channels);
    const TitleTrie& trie = dynamic_cast<const Titles&>(*opened).trie();
    EXPECT_EQ(trie.num_leaves(), 9);  // of 30 items
    const auto queries = testing::questions(0, 1);
    const auto lists = opened->top_items(queries, 30);
    for (size_t n = 0; n < lists.size(); ++n) {
      EXPECT_EQ(lists[n].size(), 30 - queries[n].masked.size());
      std::map<int32_t, size_t> place;
      for (size_t at = 0; at < lists[n].size(); ++at) {
        const int32_t item = lists[n][at].item;
        EXPECT_TRUE(place.emplace(item, at).second);
        EXPECT_FALSE(std::ranges::binary_search(queries[n].masked, item));
        EXPECT_LE(lists[n][at].score, lists[n][at > 0 ? at - 1 : 0].score);
      }
      for (int32_t leaf = 0; leaf < trie.num_leaves(); ++leaf) {
        std::vector<size_t> places;
        for (const int32_t item : trie.items(leaf)) {
          if (place.contains(item)) places.push_back(place.at(item));
        }
        EXPECT_TRUE(std::ranges::is_sorted(places));
      }
    }
    EXPECT_EQ(opened->top_items(queries, 3)[0].size(), 3U);
    EXPECT_TRUE(opened->top_items({}, 3).empty());
  });
}

TEST(Titles, PredictedTokensAreThoseOfTheTitlesAndTheirWeightsAddToOne) {
  testing::training_corpus();
  for (const TitleTargets targets : {TitleTargets::kLast, TitleTargets::kAll}) {
    testing::run_ranks(1, [&](Communicator& comm) {
      const Channels channels(comm);
      TitlesOptions options = small();
      options.targets = targets;
      const auto opened = testing::open_in_fp64(titles_model(), options, channels);
      const auto& model = dynamic_cast<const Titles&>(*opened);
      const auto input = opened->input({.step = 1});
      const TitleBatch& titles = dynamic_cast<const TitlesInput&>(*input).titles;
      const Batch& batch = titles.batch;
      EXPECT_NEAR(std::reduce(batch.target_weights.begin(), batch.target_weights.end()), 1, 1e-12);
      size_t a = 0;
      for (size_t p = 0; p < titles.histories.shown.size(); ++p) {
        const auto sequence = static_cast<size_t>(titles.histories.sequence[p]);
        const auto history = testing::training_corpus().history(titles.histories.users[sequence], Part::kTrain);
        const auto title =
            model.trie().tokens(model.trie().leaf_of(history[static_cast<size_t>(titles.histories.shown[p])]));
        for (size_t k = 0; k < title.size(); ++k, ++a) {
          ASSERT_EQ(titles.position_A[a], static_cast<int64_t>(p));
          EXPECT_EQ(batch.targets[a], title[k]);
          EXPECT_EQ(model.trie().node(titles.nodes[a]).depth, static_cast<int32_t>(k));
          const auto row = static_cast<size_t>(batch.active_rows[a]);
          EXPECT_EQ(batch.token_ids[row], k > 0 ? title[k - 1] : kEnd);
        }
      }
      EXPECT_EQ(a, batch.active_rows.size());
    });
  }
}

TEST(Titles, WhatDoesNotGoTogetherIsSaidInOneLine) {
  TitlesOptions options = small();
  EXPECT_EQ(options.problem(), "");
  options.train_backbone = true;
  EXPECT_NE(options.problem().find("set one of the two"), std::string::npos);
  options.train_backbone = false;
  options.adapters.rank = 0;
  EXPECT_NE(options.problem().find("nothing would be trained"), std::string::npos);
  TitlesOptions popularity = small(TeacherModel::kPopularity);
  popularity.objective.teacher.popularity = 0;
  EXPECT_NE(popularity.problem().find("set its power"), std::string::npos);

  testing::training_corpus();
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto refusal = [&](const std::function<void(TitlesOptions&)>& change) -> std::string {
      TitlesOptions wrong = small();
      change(wrong);
      try {
        testing::open_in_fp64(titles_model(), wrong, channels);
      } catch (const OptionError& error) {
        return error.what();
      }
      return "";
    };
    EXPECT_NE(refusal([](TitlesOptions& o) { o.texts.kind = "plot"; }).find("titles.kind = \"plot\""),
              std::string::npos);
    EXPECT_NE(refusal([](TitlesOptions& o) { o.texts.end = "the end"; }).find("tokens: name one token"),
              std::string::npos);
    EXPECT_NE(refusal([](TitlesOptions& o) { o.prompt = std::string(400, 'q'); }).find("do not fit"),
              std::string::npos);
    EXPECT_NE(refusal([](TitlesOptions& o) { o.backbone.clear(); }).find("run.backbone is not set"), std::string::npos);
  });
}

}  // namespace titles
}  // namespace
}  // namespace cllm
