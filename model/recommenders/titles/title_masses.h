#pragma once

// The collaborative tokenizer of TCA4Rec (MODELS.md §11, METHOD.md §9): a distribution over items as one over the next
// tokens of their titles. Letters: J items, L titles.

#include <cstdint>
#include <span>
#include <vector>

#include "model/recommenders/titles/trie.h"

namespace cllm {

/// pi = softmax of `logits_J` (ln q up to a number, fp64) over the items that are not `shown`; masses of titles are
/// those of their items. Of a node it is the softmax over the items below it alone, so that masses far below those of
/// others keep their digits.
class TitleMasses {
 public:
  TitleMasses(const TitleTrie& trie, std::span<const double> logits_J, std::span<const int64_t> shown);

  /// p_cf of the children of a node, in their order: their sums of pi over the node's. Appends node.num_children
  /// numbers whose sum is 1; or 0 where every item below the node is shown.
  void append_children(const TitleTrie::Node& node, std::vector<double>& out) const;

 private:
  const TitleTrie& trie_;
  std::vector<double> log_mass_L_;  // ln of the sum of e^logit; -infinity: all items are shown
};

}  // namespace cllm
