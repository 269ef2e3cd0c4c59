#include "model/evaluation/scoring.h"

#include <gtest/gtest.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <mutex>

#include "data/random.h"
#include "tests/model/tensors.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using testing::normal;
using Lists = std::vector<std::vector<ScoredItem>>;

constexpr int64_t kRankedUsers = 11, kRankedItems = 57, kRankedWidth = 19, kListLength = 8;

/// Lists of all users, computed by `world_size` ranks that hold the users in uneven blocks (rank 0 has none if there
/// are others).
Lists lists_of(int world_size, const at::Tensor& items) {
  const at::Tensor hidden = normal({kRankedUsers, kRankedWidth}, 5).to(at::kFloat);
  std::vector<std::vector<int32_t>> masked;
  for (int32_t user = 0; user < kRankedUsers; ++user) masked.push_back({user, user + 20});
  Lists all(kRankedUsers);
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const RowPartition partition(items.size(0), world_size);
    const int64_t begin =
        world_size == 1 ? 0 : kRankedUsers * comm.rank() * (comm.rank() - 1) / (world_size * (world_size - 1));
    const int64_t end = world_size == 1
                            ? kRankedUsers
                            : kRankedUsers * comm.rank() * (comm.rank() + 1) / (world_size * (world_size - 1));
    const ItemScorer scorer(comm, partition,
                            items.narrow(0, partition.begin(comm.rank()), partition.size(comm.rank())));
    const Lists mine = scorer.top_items(hidden.narrow(0, begin, end - begin),
                                        {masked.begin() + begin, masked.begin() + end}, kListLength);
    for (int64_t n = begin; n < end; ++n) all[static_cast<size_t>(n)] = mine[static_cast<size_t>(n - begin)];
  });
  return all;
}

TEST(ItemScorer, ListsAreThoseOfTheFullScoreMatrix) {
  const at::Tensor items = normal({kRankedItems, kRankedWidth}, 6).to(at::kFloat);
  const at::Tensor scores =
      at::mm(normal({kRankedUsers, kRankedWidth}, 5).to(at::kFloat).to(at::kDouble), items.to(at::kDouble).t());
  const Lists lists = lists_of(1, items);
  for (int32_t user = 0; user < kRankedUsers; ++user) {
    TopK expected(kListLength);
    expected.add<double>({scores[user].const_data_ptr<double>(), kRankedItems}, std::vector<int32_t>{user, user + 20});
    const std::vector<ScoredItem> list = expected.take();
    ASSERT_EQ(lists[static_cast<size_t>(user)].size(), list.size());
    for (size_t n = 0; n < list.size(); ++n) {
      EXPECT_EQ(lists[static_cast<size_t>(user)][n].item, list[n].item);
      EXPECT_NEAR(lists[static_cast<size_t>(user)][n].score, list[n].score, 1e-12);
    }
  }
}

TEST(ItemScorer, AnyNumberOfRanksGivesTheSameListsAndScores) {
  const at::Tensor items = normal({kRankedItems, kRankedWidth}, 6).to(at::kFloat);
  const Lists expected = lists_of(1, items);
  for (const int world_size : {2, 3, 4}) EXPECT_EQ(lists_of(world_size, items), expected) << world_size << " ranks";
}

TEST(ItemScorer, TiesAcrossShardsGoToTheLowerItem) {
  const at::Tensor items = at::zeros({kRankedItems, kRankedWidth}, at::kFloat);
  for (const int world_size : {1, 2, 4}) {
    const Lists lists = lists_of(world_size, items);
    EXPECT_EQ(lists[0].front(), (ScoredItem{1, 0.0}));  // item 0 is masked
    EXPECT_EQ(lists[10].back(), (ScoredItem{7, 0.0}));
  }
}

TEST(ItemScorer, FewerItemsThanRanksOrThanTheListGiveShortLists) {
  const Lists lists = lists_of(4, normal({3, kRankedWidth}, 6).to(at::kFloat));
  EXPECT_EQ(lists[1].size(), 2U);
  EXPECT_EQ(lists[9].size(), 3U);
}

}  // namespace
}  // namespace cllm
