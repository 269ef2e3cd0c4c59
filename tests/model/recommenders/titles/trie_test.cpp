#include "model/recommenders/titles/trie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/model/recommenders/titles/small_titles.h"

namespace cllm {
namespace {

namespace title_trie {

using Title = std::vector<int32_t>;

TEST(TitleTrie, HoldsEveryTitleOnceWithItsItemsTheMorePopularFirst) {
  for (const uint64_t seed : {1, 2, 3}) {
    const auto titles = testing::random_titles(60, seed);
    const auto popularity = testing::random_popularity(60, seed);
    const TitleTrie trie(titles, testing::kTitleEnd, popularity);
    std::map<Title, std::set<int32_t>> wanted;
    for (size_t item = 0; item < titles.size(); ++item) wanted[titles[item]].insert(static_cast<int32_t>(item));
    ASSERT_EQ(trie.num_leaves(), static_cast<int32_t>(wanted.size()));
    EXPECT_LT(trie.num_leaves(), 60);
    for (int32_t leaf = 0; leaf < trie.num_leaves(); ++leaf) {
      const auto tokens = trie.tokens(leaf);
      EXPECT_EQ(tokens.back(), testing::kTitleEnd);
      const auto items = trie.items(leaf);
      EXPECT_EQ(std::set<int32_t>(items.begin(), items.end()), wanted.at(Title(tokens.begin(), tokens.end() - 1)));
      for (const int32_t item : items) EXPECT_EQ(trie.leaf_of(item), leaf);
      for (size_t n = 1; n < items.size(); ++n) EXPECT_GE(popularity[items[n - 1]], popularity[items[n]]);
    }
  }
}

/// What can follow every beginning, title by title.
TEST(TitleTrie, ItsNodesAreTheBeginningsOfTitles) {
  const auto titles = testing::random_titles(80, 4);
  const TitleTrie trie(titles, testing::kTitleEnd, std::vector<double>(80));
  std::map<Title, std::set<int32_t>> next;
  std::map<Title, std::set<Title>> below;
  for (Title title : titles) {
    title.push_back(testing::kTitleEnd);
    for (size_t depth = 0; depth < title.size(); ++depth) {
      const Title beginning(title.begin(), title.begin() + static_cast<int64_t>(depth));
      next[beginning].insert(title[depth]);
      below[beginning].insert(title);
    }
  }
  size_t inner = 0;
  for (int32_t n = 0; n < trie.num_nodes(); ++n) {
    const TitleTrie::Node& node = trie.node(n);
    const auto tokens = trie.tokens(node.first_leaf);
    const Title path(tokens.begin(), tokens.begin() + node.depth);
    if (node.is_title()) {
      EXPECT_EQ(path.back(), testing::kTitleEnd);
      EXPECT_EQ(node.num_titles(), 1);
      continue;
    }
    ++inner;
    std::vector<int32_t> children;
    for (const TitleTrie::Node& child : trie.children(node)) {
      children.push_back(child.token);
      EXPECT_EQ(&trie.node(trie.child(n, child.token)), &child);
    }
    EXPECT_TRUE(std::ranges::is_sorted(children));
    EXPECT_EQ(std::set<int32_t>(children.begin(), children.end()), next.at(path));
    EXPECT_EQ(node.num_titles(), std::ssize(below.at(path)));
    EXPECT_EQ(trie.child(n, 1), -1);
  }
  EXPECT_EQ(inner, next.size());
}

}  // namespace title_trie
}  // namespace
}  // namespace cllm
