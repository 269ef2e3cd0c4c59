#pragma once

// Tokens that a text may name: they are cut out of it before it is split into words. Internal to data/text.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cllm {

struct AddedToken {
  int32_t id = 0;
  std::string content;                  // raw bytes
  bool lstrip = false, rstrip = false;  // takes the white space beside it
  bool special = false;
};

/// Finds them as the `tokenizers` library does: the leftmost first, of those the longest. Immutable.
class AddedTokens {
 public:
  AddedTokens() = default;
  explicit AddedTokens(std::vector<AddedToken> tokens);  // contents are distinct and not empty

  struct Match {
    int32_t id;
    size_t begin, end;  // bytes of the text, with the white space that the token takes
  };
  /// The first at or behind `from`.
  std::optional<Match> find(std::string_view text, size_t from) const;
  bool empty() const { return tokens_.empty(); }
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t longest_at(std::string_view text, size_t begin) const;

  std::vector<AddedToken> tokens_;
  // A trie: node and byte -> node, and which token ends at a node.
  std::unordered_map<uint64_t, uint32_t> next_;
  std::vector<uint32_t> ends_;
  std::array<bool, 256> begins_{};
};

}  // namespace cllm
