#include "model/recommenders/titles/title_masses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/model/recommenders/titles/small_titles.h"

namespace cllm {
namespace {

namespace title_masses {

struct Example {
  std::vector<std::vector<int32_t>> titles;
  TitleTrie trie;
  std::vector<double> logits;
  std::vector<int64_t> shown;
};

Example example(uint64_t seed, double scale) {
  Example out{testing::random_titles(70, seed), {}, {}, {}};
  out.trie = TitleTrie(out.titles, testing::kTitleEnd, std::vector<double>(70));
  CounterRng random(seed + 100);
  for (int item = 0; item < 70; ++item) out.logits.push_back(scale * random.normal());
  for (int item = 0; item < 70; item += 9) out.shown.push_back(item);
  return out;
}

/// pi of a beginning: the sum over the items whose title begins so, by comparing all of them.
double slow_mass(const Example& of, std::span<const int32_t> beginning) {
  double sum = 0;
  for (size_t item = 0; item < of.titles.size(); ++item) {
    if (std::ranges::find(of.shown, static_cast<int64_t>(item)) != of.shown.end()) continue;
    std::vector<int32_t> title = of.titles[item];
    title.push_back(testing::kTitleEnd);
    if (title.size() >= beginning.size() && std::equal(beginning.begin(), beginning.end(), title.begin()))
      sum += std::exp(of.logits[item]);
  }
  return sum;
}

TEST(TitleMasses, AreTheSharesOfTheItemsThatGoOnWithAToken) {
  for (const uint64_t seed : {1, 2}) {
    const Example of = example(seed, 2);
    const TitleMasses masses(of.trie, of.logits, of.shown);
    for (int32_t n = 0; n < of.trie.num_nodes(); ++n) {
      const TitleTrie::Node& node = of.trie.node(n);
      if (node.is_title()) continue;
      const auto path = of.trie.tokens(node.first_leaf).first(static_cast<size_t>(node.depth));
      const double whole = slow_mass(of, path);
      std::vector<double> found;
      masses.append_children(node, found);
      ASSERT_EQ(std::ssize(found), node.num_children);
      double sum = 0;
      for (int32_t c = 0; c < node.num_children; ++c) {
        std::vector<int32_t> longer(path.begin(), path.end());
        longer.push_back(of.trie.children(node)[static_cast<size_t>(c)].token);
        const double wanted = whole > 0 ? slow_mass(of, longer) / whole : 0;
        EXPECT_NEAR(found[static_cast<size_t>(c)], wanted, 1e-13);
        sum += found[static_cast<size_t>(c)];
      }
      EXPECT_NEAR(sum, whole > 0 ? 1 : 0, 1e-13);
    }
  }
}

/// The chain rule: along a title they multiply to its items' share of all.
TEST(TitleMasses, MultiplyAlongATitleToTheShareOfItsItems) {
  const Example of = example(3, 1);
  const TitleMasses masses(of.trie, of.logits, of.shown);
  const double all = slow_mass(of, {});
  for (int32_t leaf = 0; leaf < of.trie.num_leaves(); ++leaf) {
    if (slow_mass(of, of.trie.tokens(leaf)) == 0) continue;
    double product = 1;
    int32_t n = TitleTrie::kRoot;
    for (const int32_t token : of.trie.tokens(leaf)) {
      std::vector<double> found;
      masses.append_children(of.trie.node(n), found);
      const int32_t child = of.trie.child(n, token);
      product *= found[static_cast<size_t>(child - of.trie.node(n).first_child)];
      n = child;
    }
    EXPECT_NEAR(product, slow_mass(of, of.trie.tokens(leaf)) / all, 1e-13);
  }
}

TEST(TitleMasses, KeepTheirDigitsWhereTheyAreFarBelowTheOthers) {
  const std::vector<std::vector<int32_t>> titles{{7}, {8, 7}, {8, 9}};
  const TitleTrie trie(titles, testing::kTitleEnd, std::vector<double>(3));
  const TitleMasses masses(trie, std::vector<double>{2000, 1, 1 + std::log(3.0)}, {});
  std::vector<double> found;
  masses.append_children(trie.node(trie.child(TitleTrie::kRoot, 8)), found);
  EXPECT_NEAR(found[0], 0.25, 1e-14);
  EXPECT_NEAR(found[1], 0.75, 1e-14);
}

}  // namespace title_masses
}  // namespace
}  // namespace cllm
