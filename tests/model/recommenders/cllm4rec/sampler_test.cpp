#include "model/recommenders/cllm4rec/sampler.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "data/errors.h"
#include "tests/model/recommenders/cllm4rec/sampler_fixture.h"

namespace cllm {
namespace {

using namespace sampler_tests;

/// What is computed for each sequence of a step, whoever computes it: key -> tokens and (position, target, weight).
using SampleWork = std::map<uint64_t, std::pair<Tokens, std::vector<std::tuple<int32_t, int32_t, double>>>>;

void add_work(const RecBatch& batch, SampleWork& work) {
  for (size_t s = 0; s < batch.sequence_keys.size(); ++s) {
    const int32_t first = batch.sequence_offsets[s], last = batch.sequence_offsets[s + 1];
    auto& [tokens, targets] = work[batch.sequence_keys[s]];
    EXPECT_TRUE(tokens.empty()) << "two ranks compute one sequence";
    tokens.assign(batch.token_ids.begin() + first, batch.token_ids.begin() + last);
    for (size_t a = 0; a < batch.active_rows.size(); ++a) {
      const int32_t row = batch.active_rows[a];
      if (row < first || row >= last) continue;
      for (int32_t k = batch.target_offsets[a]; k < batch.target_offsets[a + 1]; ++k)
        targets.emplace_back(row - first, batch.targets[static_cast<size_t>(k)],
                             batch.target_weights[static_cast<size_t>(k)]);
    }
  }
}

TEST(Sampler, AnyNumberOfRanksComputesTheSameSequencesWithTheSameWeights) {
  for (const LossOptions& loss : {LossOptions::paper(), LossOptions::release()}) {
    const Sampler any = sampler(small_batches(loss));
    for (const StepKind kind : kKinds) {
      for (StepId id{.kind = kind, .stage = 2, .epoch = 3}; id.step < any.num_steps(kind); ++id.step) {
        SampleWork alone;
        add_work(any.batch(id, 0, 1), alone);
        EXPECT_EQ(alone.size(), any.plan(id).size());
        for (const int world_size : {2, 3, 4, 20}) {
          SampleWork together;
          for (int rank = 0; rank < world_size; ++rank) add_work(any.batch(id, rank, world_size), together);
          EXPECT_EQ(together, alone) << world_size << " ranks";
        }
      }
    }
  }
}

TEST(Sampler, RanksGetAboutEquallyManyTokens) {
  SamplerOptions options = small_batches();
  options.shape = {.group_size = 20, .groups_per_batch = 2};
  const Sampler balanced = sampler(options);
  for (const StepKind kind : kKinds) {
    std::vector<int64_t> tokens;
    for (int rank = 0; rank < 3; ++rank) tokens.push_back(balanced.batch({.kind = kind}, rank, 3).num_tokens());
    const auto [least, most] = std::minmax_element(tokens.begin(), tokens.end());
    EXPECT_LE(*most - *least, 30);
  }
}

TEST(Sampler, AnEpochTakesEveryUserWithItemsAndEveryTextOnce) {
  const Sampler any = sampler();
  EXPECT_EQ(any.num_samples(StepKind::kCollaborative), testing::kSmallUsers - 2);
  EXPECT_EQ(any.num_samples(StepKind::kContent), corpus().num_texts());
  EXPECT_EQ(corpus().num_texts(), testing::kSmallUsers + testing::kSmallItems + testing::kSmallUsers - 2);
  for (const StepKind kind : {StepKind::kCollaborative, StepKind::kRecommendation}) {
    std::set<int64_t> users;
    for (const Sequence& sequence : epoch_of(any, kind)) {
      EXPECT_TRUE(users.insert(user_of(sequence)).second);
      EXPECT_GT(corpus().num_items(user_of(sequence), Part::kTrain), 0);
    }
    EXPECT_EQ(users.size(), static_cast<size_t>(testing::kSmallUsers - 2));
  }
  std::multiset<Tokens> from_corpus, sampled;
  for (int64_t n = 0; n < corpus().num_texts(); ++n)
    from_corpus.emplace(corpus().text(n).tokens.begin(), corpus().text(n).tokens.end());
  for (const Sequence& sequence : epoch_of(any, StepKind::kContent)) sampled.insert(sequence.main);
  EXPECT_EQ(sampled, from_corpus);
}

TEST(Sampler, ADocumentIsTheHistoryInANewOrderEveryEpoch) {
  const Sampler any = sampler();
  std::map<int64_t, std::set<Tokens>> orders;
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    for (const Sequence& sequence : epoch_of(any, StepKind::kCollaborative, epoch)) {
      EXPECT_EQ(sorted(items_of(sequence.main)), train_items(user_of(sequence)));
      orders[user_of(sequence)].insert(sequence.main);
    }
  }
  for (const auto& [user, seen] : orders)
    if (train_items(user).size() > 5) {
      EXPECT_EQ(seen.size(), 4u);
    }
}

TEST(Sampler, TheReleasedPresetKeepsUsersAndItemsInOrder) {
  int64_t previous = -1;
  for (const Sequence& sequence :
       epoch_of(sampler(small_batches(LossOptions::release())), StepKind::kCollaborative, 2)) {
    EXPECT_GT(user_of(sequence), previous);
    previous = user_of(sequence);
    EXPECT_EQ(items_of(sequence.main), train_items(previous));
  }
}

TEST(Sampler, FinetuningSplitsTheHistoryIntoVisibleAndHeldOut) {
  const Sampler any = sampler();
  std::map<int64_t, std::set<Tokens>> held_out;
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    for (const Sequence& sequence : epoch_of(any, StepKind::kRecommendation, epoch)) {
      const Tokens all = train_items(user_of(sequence));
      EXPECT_EQ(sequence.targets.size(), std::max<size_t>(1, all.size() / 5));  // p_m = 0.2
      Tokens both = items_of(sequence.prompt);
      both.insert(both.end(), sequence.targets.begin(), sequence.targets.end());
      EXPECT_EQ(sorted(both), all);
      held_out[user_of(sequence)].insert(sequence.targets);
    }
  }
  for (const auto& [user, seen] : held_out)
    if (train_items(user).size() > 8) {
      EXPECT_GT(seen.size(), 1u);  // resampled
    }
}

TEST(Sampler, AllTrainingItemsAreTargetsInTheReleasedPreset) {
  for (const Sequence& sequence : epoch_of(sampler(small_batches(LossOptions::release())), StepKind::kRecommendation)) {
    EXPECT_EQ(sequence.targets, train_items(user_of(sequence)));
    const Tokens visible = items_of(sequence.prompt);
    EXPECT_EQ(visible, sorted(visible));
    EXPECT_LT(visible.size(), sequence.targets.size());
  }
}

TEST(Sampler, ItemDropoutThinsTheVisibleItemsOnly) {
  SamplerOptions options = small_batches();
  options.item_dropout = 0.5;
  const std::vector<Sequence> full = epoch_of(sampler(), StepKind::kRecommendation),
                              thin = epoch_of(sampler(options), StepKind::kRecommendation);
  size_t visible = 0, kept = 0;
  for (size_t n = 0; n < full.size(); ++n) {
    EXPECT_EQ(thin[n].targets, full[n].targets);
    visible += items_of(full[n].prompt).size();
    kept += items_of(thin[n].prompt).size();
  }
  EXPECT_GT(kept, visible / 4);
  EXPECT_LT(kept, visible * 3 / 4);
}

TEST(Sampler, ATextGetsThePromptOfWhatItMentions) {
  const Sampler any = sampler();
  const PromptSet set = prompts();
  const StepId id{.kind = StepKind::kContent};
  for (int64_t n = 0; n < corpus().num_texts(); ++n) {
    const TextSample text = corpus().text(n);
    const PromptTemplate& prompt = text.user < 0 ? set.item_content : text.item < 0 ? set.biography : set.review;
    EXPECT_EQ(any.sequence(id, {n, 0}).prompt, prompt.fill(corpus().vocabulary(), text.user, text.item, {}));
  }
}

TEST(Sampler, APromptForOneKindOfItemTextTakesPrecedence) {
  int64_t about_item = 0;
  while (corpus().text(about_item).user >= 0) ++about_item;
  PromptSet set = prompts();
  const std::string& kind = corpus().text_kinds()[static_cast<size_t>(corpus().text(about_item).kind)];
  set.item_content_by_kind[kind] = PromptTemplate({{PromptPiece::Kind::kWord, 77}});
  const auto prompt = [&] {
    return Sampler(corpus(), set, small_batches()).sequence({.kind = StepKind::kContent}, {about_item, 0}).prompt;
  };
  EXPECT_EQ(prompt(), Tokens{77});
  set.item_content_by_kind[kind] = prompts().review;  // names a user, and the text has none
  EXPECT_THROW(prompt(), DataError);
}

TEST(Sampler, SequencesFitThePositionsAndTheCaps) {
  SamplerOptions options = small_batches();
  options.max_positions = 17;
  options.max_items = 4;
  options.max_text_tokens = 2;
  const Sampler capped = sampler(options);
  for (const StepKind kind : kKinds) {
    for (const Sequence& sequence : epoch_of(capped, kind)) {
      EXPECT_LE(sequence.prompt.size() + sequence.main.size(), 17u);
      EXPECT_LE(items_of(sequence.prompt).size(), 4u);
      EXPECT_LE(sequence.main.size(), kind == StepKind::kContent ? 2u : 4u);
    }
  }
  options.max_positions = 8;
  EXPECT_THROW(sampler(options), DataError);
}

TEST(Sampler, RankingPromptsHoldTheWholeHistoryInAFixedOrder) {
  const Sampler any = sampler();
  const std::vector<int64_t> users = {3, 0, 40}, one = {0};
  for (const StepKind kind : {StepKind::kRecommendation, StepKind::kCollaborative}) {
    const RecBatch batch = any.ranking_prompts(users, kind), again = any.ranking_prompts(one, kind);
    ASSERT_EQ(batch.num_sequences(), 3);
    EXPECT_TRUE(batch.targets.empty());
    for (size_t n = 0; n < users.size(); ++n) {
      const Tokens tokens(batch.token_ids.begin() + batch.sequence_offsets[n],
                          batch.token_ids.begin() + batch.sequence_offsets[n + 1]);
      EXPECT_EQ(tokens.front(), corpus().vocabulary().user_token(users[n]));
      EXPECT_EQ(sorted(items_of(tokens)), train_items(users[n]));
      EXPECT_EQ(batch.active_rows[n], batch.sequence_offsets[n + 1] - 1);
      if (n == 1) {
        EXPECT_EQ(tokens, again.token_ids);
      }
    }
  }
}

TEST(Sampler, AUserOutsideTheCorpusIsAskedForAsOneWithoutItsToken) {
  PromptSet without = prompts();
  without.collaborative = without.collaborative.without(PromptPiece::Kind::kUser);
  without.recommendation = without.recommendation.without(PromptPiece::Kind::kUser);
  const Sampler with_token = sampler(), off(corpus(), without, small_batches());
  std::vector<RankingQuery> known, unseen;
  for (const int64_t user : {3, 0, 40}) {
    known.push_back({.user = user, .history = train_items(user)});
    unseen.push_back({.history = train_items(user)});
  }
  for (const StepKind kind : {StepKind::kRecommendation, StepKind::kCollaborative}) {
    const Tokens expected = off.ranking_prompts(known, kind).token_ids;
    EXPECT_EQ(off.ranking_prompts(unseen, kind).token_ids, expected);
    EXPECT_EQ(with_token.ranking_prompts(unseen, kind).token_ids, expected) << "as of prompts.user_token = dropped";
    EXPECT_NE(off.ranking_prompts(unseen, kind, 1).token_ids, expected) << "ranking.orders";
  }
}

TEST(Sampler, SeedsStagesEpochsAndKindsDrawIndependently) {
  std::set<uint64_t> keys;
  size_t drawn = 0;
  for (const uint64_t seed : {1, 2}) {
    SamplerOptions options = small_batches();
    options.seed = seed;
    const Sampler any = sampler(options);
    for (const StepKind kind : kKinds) {
      for (const int64_t stage : {0, 1}) {
        for (const int64_t epoch : {0, 1}) {
          for (int64_t sample = 0; sample < 40; ++sample, ++drawn)
            keys.insert(any.sequence({kind, stage, epoch, 0}, {sample, 0}).key);
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), drawn);
}

TEST(UserStream, SkipsTheUsersLeftOut) {
  const UserStream stream(10, {0, 3, 4, 9});
  std::vector<int64_t> users;
  for (int64_t n = 0; n < stream.size(); ++n) users.push_back(stream.user(n));
  EXPECT_THAT(users, ::testing::ElementsAre(1, 2, 5, 6, 7, 8));
  EXPECT_EQ(UserStream(5, {}).user(4), 4);
}

}  // namespace
}  // namespace cllm
