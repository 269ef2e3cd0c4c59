#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/tokenizers/trie.h"

namespace cllm {

/// One of tokenizer.json's added_tokens.
struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // only between characters that are no letters, digits or marks
  bool lstrip = false;       // takes the white space before it along
  bool rstrip = false;       // and behind it
  bool normalized = true;    // is looked for in the normalised text, by its normalised content
  bool special = false;
};

/// Finds added tokens: leftmost, longest.
class AddedTokens {
 public:
  using Fragment = std::function<void(std::string_view fragment, size_t start)>;
  using Token = std::function<void(int32_t id)>;

  AddedTokens() = default;
  /// `normalized`: contents of the tokens after normalisation, in the same order.
  AddedTokens(std::vector<AddedToken> tokens, const std::vector<std::string>& normalized);

  /// Hands out tokens, and what lies between them with its place in `text`, in order. With special false, those that
  /// the file calls special are text. in_normalized: looks for those with the flag `normalized`, else for the others.
  void split(std::string_view text, bool in_normalized, bool special, const Fragment& fragment,
             const Token& token) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  bool is_special(int32_t id) const;

 private:
  /// Tokens with equal flag `normalized`; the trie's ids are places in tokens_.
  struct Group {
    Trie trie;
    bool has_any = false, has_ordinary = false;
  };

  std::vector<AddedToken> tokens_;
  Group raw_, normalized_;
};

}  // namespace cllm
