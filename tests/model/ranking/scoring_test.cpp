#include "model/scoring.h"

#include <gtest/gtest.h>

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <mutex>

#include "data/random.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using Lists = std::vector<std::vector<ScoredItem>>;

at::Tensor normal(at::IntArrayRef sizes, uint64_t key) {
  CounterRng random(key);
  at::Tensor out = at::empty(sizes, at::kFloat);
  for (int64_t n = 0; n < out.numel(); ++n) out.mutable_data_ptr<float>()[n] = static_cast<float>(random.normal());
  return out;
}

constexpr int64_t kUsers = 11, kItems = 57, kWidth = 19, kLength = 8;

/// Lists of all users, computed by `world_size` ranks that hold the users in uneven blocks (rank 0 has none if there are others).
Lists lists_of(int world_size, const at::Tensor& items) {
  const at::Tensor hidden = normal({kUsers, kWidth}, 5);
  std::vector<std::vector<int32_t>> masked;
  for (int32_t user = 0; user < kUsers; ++user) masked.push_back({user, user + 20});
  Lists all(kUsers);
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const RowPartition partition(items.size(0), world_size);
    const int64_t begin = world_size == 1 ? 0 : kUsers * comm.rank() * (comm.rank() - 1) / (world_size * (world_size - 1));
    const int64_t end = world_size == 1 ? kUsers : kUsers * comm.rank() * (comm.rank() + 1) / (world_size * (world_size - 1));
    const ItemScorer scorer(comm, partition, items.narrow(0, partition.begin(comm.rank()), partition.size(comm.rank())));
    const Lists mine =
        scorer.top_items(hidden.narrow(0, begin, end - begin), {masked.begin() + begin, masked.begin() + end}, kLength);
    for (int64_t n = begin; n < end; ++n) all[static_cast<size_t>(n)] = mine[static_cast<size_t>(n - begin)];
  });
  return all;
}

TEST(ItemScorer, ListsAreThoseOfTheFullScoreMatrix) {
  const at::Tensor items = normal({kItems, kWidth}, 6);
  const at::Tensor scores = at::mm(normal({kUsers, kWidth}, 5).to(at::kDouble), items.to(at::kDouble).t());
  const Lists lists = lists_of(1, items);
  for (int32_t user = 0; user < kUsers; ++user) {
    TopK expected(kLength);
    expected.add<double>({scores[user].const_data_ptr<double>(), kItems}, std::vector<int32_t>{user, user + 20});
    const std::vector<ScoredItem> list = expected.take();
    ASSERT_EQ(lists[static_cast<size_t>(user)].size(), list.size());
    for (size_t n = 0; n < list.size(); ++n) {
      EXPECT_EQ(lists[static_cast<size_t>(user)][n].item, list[n].item);
      EXPECT_NEAR(lists[static_cast<size_t>(user)][n].score, list[n].score, 1e-12);
    }
  }
}

TEST(ItemScorer, AnyNumberOfRanksGivesTheSameListsAndScores) {
  const at::Tensor items = normal({kItems, kWidth}, 6);
  const Lists expected = lists_of(1, items);
  for (const int world_size : {2, 3, 4}) EXPECT_EQ(lists_of(world_size, items), expected) << world_size << " ranks";
}

TEST(ItemScorer, TiesAcrossShardsGoToTheLowerItem) {
  const at::Tensor items = at::zeros({kItems, kWidth}, at::kFloat);
  for (const int world_size : {1, 2, 4}) {
    const Lists lists = lists_of(world_size, items);
    EXPECT_EQ(lists[0].front(), (ScoredItem{1, 0.0}));  // item 0 is masked
    EXPECT_EQ(lists[10].back(), (ScoredItem{7, 0.0}));
  }
}

TEST(ItemScorer, FewerItemsThanRanksOrThanTheListGiveShortLists) {
  const Lists lists = lists_of(4, normal({3, kWidth}, 6));
  EXPECT_EQ(lists[1].size(), 2U);
  EXPECT_EQ(lists[9].size(), 3U);
}

}  // namespace
}  // namespace cllm
