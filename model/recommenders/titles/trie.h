#pragma once

// Letters: J items, L distinct titles (leaves).

#include <cstdint>
#include <span>
#include <vector>

namespace cllm {

/// The tree of the beginnings of all titles. Titles are in the order of their tokens, so that the titles below a node
/// are an interval of them. Items whose titles have the same tokens share a leaf. Immutable, thread-safe.
class TitleTrie {
 public:
  static constexpr int32_t kRoot = 0;

  /// A beginning of titles.
  struct Node {
    int32_t token;                      // its last one; of the root -1
    int32_t depth;                      // its tokens
    int32_t first_leaf, last_leaf;      // of the titles that begin so: [first, last)
    int32_t first_child, num_children;  // they follow one another, tokens ascending; a title has none

    bool is_title() const { return num_children == 0; }
    int32_t num_titles() const { return last_leaf - first_leaf; }
  };

  TitleTrie() = default;
  /// `titles`: [J] tokens of every item, none of which is `end`; `popularity` [J]: a leaf has its items in falling
  /// order of it, then by number.
  TitleTrie(const std::vector<std::vector<int32_t>>& titles, int32_t end, std::span<const double> popularity);

  const Node& node(int32_t n) const { return nodes_[static_cast<size_t>(n)]; }
  int32_t num_nodes() const { return static_cast<int32_t>(nodes_.size()); }
  std::span<const Node> children(const Node& node) const;
  /// The child of a node with this token; -1: there is none.
  int32_t child(int32_t n, int32_t token) const;

  int32_t num_leaves() const { return static_cast<int32_t>(item_offsets_.size()) - 1; }
  int32_t leaf_of(int32_t item) const { return leaf_of_item_[static_cast<size_t>(item)]; }
  /// Tokens of a title, the end behind them.
  std::span<const int32_t> tokens(int32_t leaf) const;
  std::span<const int32_t> items(int32_t leaf) const;
  /// Tokens of the longest, with the end.
  int64_t longest() const { return longest_; }

 private:
  void add_children(int32_t parent);

  std::vector<Node> nodes_;  // children behind their parents
  std::vector<int32_t> leaf_of_item_;
  std::vector<int64_t> token_offsets_, item_offsets_;  // [L + 1]
  std::vector<int32_t> tokens_, items_;
  int64_t longest_ = 0;
};

}  // namespace cllm
