// A user outside the corpus gets the list that a user of the corpus with the same history gets.
#include <gtest/gtest.h>

#include "tests/model/recommenders/training.h"

namespace cllm::testing {
namespace {
namespace fold_in {

/// Every user of the corpus, as one that it has and as one that it has not.
void expect_same_lists(const std::string& name) {
  run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const Model& model = *find_model(name);
    const auto options = model.options();
    const auto recommender = open_in_fp64(model, *options, channels);
    train(*recommender, 0, 2 > recommender->program().num_steps() ? 1 : 2);
    recommender->flush([] {});
    ASSERT_EQ(recommender->why_no_fold_in(), "") << name;
    std::vector<RankingQuery> known = questions(0, 1), unseen = known;
    for (RankingQuery& query : unseen) query.user = -1;
    const auto expected = recommender->top_items(known, 5), lists = recommender->top_items(unseen, 5);
    EXPECT_EQ(lists, expected) << name;
  });
}

TEST(FoldIn, of_models_that_read_histories_gives_the_lists_of_users_of_the_corpus) {
  for (const char* name : {"popularity", "item_cosine", "ease", "ease_text", "ials", "multi_vae", "sasrec"})
    expect_same_lists(name);
}

}  // namespace fold_in
}  // namespace
}  // namespace cllm::testing
