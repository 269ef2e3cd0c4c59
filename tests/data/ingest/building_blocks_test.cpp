#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "data/ingest/split.h"
#include "data/ingest/storage/id_map.h"
#include "data/ingest/storage/spill.h"
#include "data/random.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

TEST(IdMap, fetching_changes_nothing) {
  IdMap ids;
  const std::vector<std::string_view> some{"a", "", "b", "a", "unknown"};
  ids.fetch(some);
  EXPECT_EQ(ids.size(), 0u);
  ids.intern("a");
  ids.intern("b");
  ids.fetch(some);
  ids.fetch({});
  EXPECT_EQ(ids.size(), 2u);
  EXPECT_EQ(ids.find("b"), 1u);
}

TEST(IdMap, numbers_ids_in_the_order_of_their_first_appearance) {
  IdMap ids;
  for (uint32_t n = 0; n < 200000; ++n)
    ASSERT_EQ(ids.intern("id-" + std::to_string(n * 17 % 100003)), n < 100003 ? n : n - 100003);
  EXPECT_EQ(ids.size(), 100003u);
  EXPECT_EQ(ids.name(3), "id-51");
  EXPECT_EQ(ids.find("id-51"), 3u);
  EXPECT_EQ(ids.find("id-x"), std::nullopt);
  EXPECT_EQ(ids.intern(""), 100003u);
  EXPECT_EQ(ids.find(""), 100003u);
}

class ExternalSorting : public ::testing::TestWithParam<size_t> {};

TEST_P(ExternalSorting, gives_all_records_in_order_whatever_the_memory) {
  const Scratch scratch;
  ExternalSorter<uint64_t> sorter(scratch.path(), GetParam());
  std::vector<uint64_t> expected;
  CounterRng rng(3);
  for (int n = 0; n < 10000; ++n) {
    expected.push_back(rng.below(5000));
    sorter.add(expected.back());
  }
  std::sort(expected.begin(), expected.end());
  sorter.finish();
  std::vector<uint64_t> found;
  for (uint64_t value = 0; sorter.next(value);) found.push_back(value);
  EXPECT_EQ(found, expected);
}

INSTANTIATE_TEST_SUITE_P(memory, ExternalSorting, ::testing::Values(0, 16, 1000, 40000, 79992, 80000, 1 << 20));

TEST(ExternalSorting, of_nothing_gives_nothing) {
  const Scratch scratch;
  ExternalSorter<uint64_t> sorter(scratch.path(), 100);
  sorter.finish();
  uint64_t value = 0;
  EXPECT_FALSE(sorter.next(value));
}

TEST(RecordFile, is_read_again_and_again) {
  const Scratch scratch;
  RecordFile<uint32_t> file(scratch.path());
  for (uint32_t n = 0; n < 100000; ++n) file.add(n);
  for (int round = 0; round < 2; ++round) {
    auto stream = file.read();
    uint32_t value = 0, expected = 0;
    while (stream.next(value)) ASSERT_EQ(value, expected++);
    EXPECT_EQ(expected, 100000u);
  }
  EXPECT_EQ(file.map().bytes().size(), 400000u);
}

std::vector<Pair> history(uint32_t count) {
  std::vector<Pair> pairs(count);
  for (uint32_t n = 0; n < count; ++n) {
    pairs[n].item = n;
    pairs[n].time = n / 2;  // ties
    pairs[n].line = 1000 - n;
  }
  return pairs;
}

std::array<size_t, kNumParts> sizes(const std::vector<Pair>& pairs) {
  std::array<size_t, kNumParts> counts{};
  for (const Pair& pair : pairs) ++counts[pair.part];
  return counts;
}

TEST(Split, random_holds_out_a_tenth_each_and_at_least_one) {
  using Sizes = std::array<size_t, kNumParts>;
  const std::vector<std::pair<uint32_t, Sizes>> cases = {{1, {1, 0, 0}},     {2, {2, 0, 0}},   {3, {1, 1, 1}},
                                                         {10, {8, 1, 1}},    {19, {17, 1, 1}}, {20, {16, 2, 2}},
                                                         {105, {85, 10, 10}}};
  for (const auto& [count, expected] : cases) {
    auto pairs = history(count);
    split_history(pairs, SplitMethod::kRandom, 5);
    EXPECT_EQ(sizes(pairs), expected) << count;
  }
}

TEST(Split, random_depends_on_the_key_and_on_nothing_else) {
  const auto held_out = [](uint64_t key) {
    auto pairs = history(50);
    split_history(pairs, SplitMethod::kRandom, key);
    std::set<std::pair<uint64_t, uint32_t>> items;
    for (const Pair& pair : pairs) items.emplace(uint64_t{pair.part}, pair.item);
    return items;
  };
  EXPECT_EQ(held_out(1), held_out(1));
  EXPECT_NE(held_out(1), held_out(2));
}

TEST(Split, leave_last_out_follows_time_and_then_the_order_of_the_file) {
  auto pairs = history(6);  // times 0 0 1 1 2 2; within a time the higher item stands first in the file
  split_history(pairs, SplitMethod::kLeaveLastOut, 0);
  for (const Pair& pair : pairs) EXPECT_EQ(pair.part, pair.item == 4 ? 2u : pair.item == 5 ? 1u : 0u) << pair.item;
  auto two = history(2);
  split_history(two, SplitMethod::kLeaveLastOut, 0);
  EXPECT_EQ(sizes(two), (std::array<size_t, kNumParts>{2, 0, 0}));
}

TEST(Split, packed_pairs_sort_by_user_then_part_then_item) {
  constexpr uint32_t kLargest = 0x7FFFFFFF;
  const PackedPair pair = pack(kLargest, Part::kTest, kLargest);
  EXPECT_EQ(packed_user(pair), kLargest);
  EXPECT_EQ(packed_part(pair), Part::kTest);
  EXPECT_EQ(packed_item(pair), kLargest);
  EXPECT_LT(pack(1, Part::kTest, 9), pack(2, Part::kTrain, 0));
  EXPECT_LT(pack(1, Part::kTrain, 9), pack(1, Part::kValidation, 0));
}

}  // namespace
}  // namespace cllm::testing
