#include "model/recommenders/titles/trie.h"

#include <algorithm>
#include <numeric>

namespace cllm {

TitleTrie::TitleTrie(const std::vector<std::vector<int32_t>>& titles, int32_t end, std::span<const double> popularity)
    : leaf_of_item_(titles.size()), token_offsets_{0}, item_offsets_{0} {
  const auto title = [&](int32_t item) -> const std::vector<int32_t>& { return titles[static_cast<size_t>(item)]; };
  items_.resize(titles.size());
  std::iota(items_.begin(), items_.end(), 0);
  // No title has the end within it, so none is the beginning of another once it is ended.
  const auto before = [&](int32_t a, int32_t b) {
    const auto& x = title(a);
    const auto& y = title(b);
    const auto [in_x, in_y] = std::ranges::mismatch(x, y);
    const int32_t of_x = in_x == x.end() ? end : *in_x, of_y = in_y == y.end() ? end : *in_y;
    if (of_x != of_y) return of_x < of_y;
    const double n = popularity[static_cast<size_t>(a)], m = popularity[static_cast<size_t>(b)];
    return n != m ? n > m : a < b;
  };
  std::ranges::sort(items_, before);
  for (size_t n = 0; n < items_.size(); ++n) {
    const auto& tokens = title(items_[n]);
    if (n == 0 || tokens != title(items_[n - 1])) {
      if (n > 0) item_offsets_.push_back(static_cast<int64_t>(n));
      tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
      tokens_.push_back(end);
      token_offsets_.push_back(std::ssize(tokens_));
      longest_ = std::max(longest_, std::ssize(tokens) + 1);
    }
    leaf_of_item_[static_cast<size_t>(items_[n])] = num_leaves();
  }
  if (!items_.empty()) item_offsets_.push_back(std::ssize(items_));
  nodes_.push_back({-1, 0, 0, num_leaves(), 0, 0});
  for (int32_t n = 0; n < num_nodes(); ++n) add_children(n);
}

void TitleTrie::add_children(int32_t parent) {
  const Node of = node(parent);
  if (of.num_titles() == 0 || std::ssize(tokens(of.first_leaf)) == of.depth) return;
  nodes_[static_cast<size_t>(parent)].first_child = num_nodes();
  const auto next = [&](int32_t leaf) { return tokens(leaf)[static_cast<size_t>(of.depth)]; };
  for (int32_t first = of.first_leaf; first < of.last_leaf;) {
    int32_t last = first + 1;
    while (last < of.last_leaf && next(last) == next(first)) ++last;
    nodes_.push_back({next(first), of.depth + 1, first, last, 0, 0});
    ++nodes_[static_cast<size_t>(parent)].num_children;
    first = last;
  }
}

std::span<const TitleTrie::Node> TitleTrie::children(const Node& node) const {
  return std::span(nodes_).subspan(static_cast<size_t>(node.first_child), static_cast<size_t>(node.num_children));
}

int32_t TitleTrie::child(int32_t n, int32_t token) const {
  const auto all = children(node(n));
  const auto found = std::ranges::lower_bound(all, token, {}, &Node::token);
  if (found == all.end() || found->token != token) return -1;
  return node(n).first_child + static_cast<int32_t>(found - all.begin());
}

std::span<const int32_t> TitleTrie::tokens(int32_t leaf) const {
  const auto n = static_cast<size_t>(leaf);
  return std::span(tokens_).subspan(static_cast<size_t>(token_offsets_[n]),
                                    static_cast<size_t>(token_offsets_[n + 1] - token_offsets_[n]));
}

std::span<const int32_t> TitleTrie::items(int32_t leaf) const {
  const auto n = static_cast<size_t>(leaf);
  return std::span(items_).subspan(static_cast<size_t>(item_offsets_[n]),
                                   static_cast<size_t>(item_offsets_[n + 1] - item_offsets_[n]));
}

}  // namespace cllm
