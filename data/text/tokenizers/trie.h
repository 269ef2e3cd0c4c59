#pragma once

#include <cstdint>
#include <string_view>

#include "data/text/tokenizers/merge_table.h"

namespace cllm {

/// Byte strings and their ids: all that a text starts with, or the longest. Internal to data/text/tokenizers.
class Trie {
 public:
  static constexpr int32_t kRoot = 0;

  Trie() = default;
  /// `bytes`: of all strings together.
  explicit Trie(size_t bytes) : edges_(bytes) {}

  /// The first id of equal strings stays.
  void insert(std::string_view text, int32_t id) {
    int32_t node = kRoot;
    for (const char c : text) {
      const int32_t next = step(node, c);
      if (next < 0) edges_.insert(node, byte_of(c), {-1, static_cast<int32_t>(ids_.size())});
      if (next < 0) ids_.push_back(-1);
      node = next < 0 ? static_cast<int32_t>(ids_.size()) - 1 : next;
    }
    if (ids_[static_cast<size_t>(node)] < 0) ids_[static_cast<size_t>(node)] = id;
  }

  /// The node behind a byte, -1 if nothing goes on so.
  int32_t step(int32_t node, char c) const { return edges_.find(node, byte_of(c)).merged; }
  /// The node behind all of `text`, -1 if there is none.
  int32_t walk(std::string_view text) const {
    int32_t node = kRoot;
    for (size_t n = 0; n < text.size() && node >= 0; ++n) node = step(node, text[n]);
    return node;
  }
  /// The id of the string that ends at a node, -1 if none does.
  int32_t id_at(int32_t node) const { return ids_[static_cast<size_t>(node)]; }

  struct Found {
    int32_t id = -1;
    size_t bytes = 0;
  };
  /// The longest string that `text` goes on with from a node; id -1 if there is none.
  Found longest(std::string_view text, int32_t node = kRoot) const {
    Found best;
    for (size_t n = 0; n < text.size(); ++n) {
      node = step(node, text[n]);
      if (node < 0) break;
      if (id_at(node) >= 0) best = {id_at(node), n + 1};
    }
    return best;
  }

 private:
  static int32_t byte_of(char c) { return static_cast<unsigned char>(c); }

  MergeTable edges_;
  std::vector<int32_t> ids_ = {-1};
};

}  // namespace cllm
