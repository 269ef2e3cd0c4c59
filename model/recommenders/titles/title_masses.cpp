#include "model/recommenders/titles/title_masses.h"

#include <algorithm>
#include <cmath>

namespace cllm {

TitleMasses::TitleMasses(const TitleTrie& trie, std::span<const double> logits_J, std::span<const int64_t> shown)
    : trie_(trie), log_mass_L_(static_cast<size_t>(trie.num_leaves())) {
  std::vector<bool> is_shown(logits_J.size());
  for (const int64_t item : shown) is_shown[static_cast<size_t>(item)] = true;
  for (int32_t leaf = 0; leaf < trie.num_leaves(); ++leaf) {
    double top = -INFINITY, sum = 0;
    for (const int32_t item : trie.items(leaf)) {
      if (!is_shown[static_cast<size_t>(item)]) top = std::max(top, logits_J[static_cast<size_t>(item)]);
    }
    if (top == -INFINITY) {
      log_mass_L_[static_cast<size_t>(leaf)] = top;
      continue;
    }
    for (const int32_t item : trie.items(leaf)) {
      if (!is_shown[static_cast<size_t>(item)]) sum += std::exp(logits_J[static_cast<size_t>(item)] - top);
    }
    log_mass_L_[static_cast<size_t>(leaf)] = top + std::log(sum);
  }
}

void TitleMasses::append_children(const TitleTrie::Node& node, std::vector<double>& out) const {
  const auto mass = log_mass_L_.begin();
  const double top = *std::max_element(mass + node.first_leaf, mass + node.last_leaf);
  const auto first = std::ssize(out);
  double all = 0;
  for (const TitleTrie::Node& child : trie_.children(node)) {
    double sum = 0;
    for (int32_t leaf = child.first_leaf; top > -INFINITY && leaf < child.last_leaf; ++leaf)
      sum += std::exp(mass[leaf] - top);
    out.push_back(sum);
    all += sum;
  }
  if (all > 0) std::for_each(out.begin() + first, out.end(), [all](double& p) { p /= all; });
}

}  // namespace cllm
