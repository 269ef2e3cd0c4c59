#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/tokenizer.h"
#include "data/vocabulary.h"

namespace cllm {

/// One element of a prompt: a word of the backbone, or a place that is filled with ID tokens.
struct PromptPiece {
  enum class Kind { kWord, kUser, kItem, kItems };
  Kind kind = Kind::kWord;
  int32_t word = 0;  // kWord: its id

  friend bool operator==(const PromptPiece&, const PromptPiece&) = default;
};

/// "{user} has interacted with {items}, the user will interact with:" as a list of pieces. {user}, {item}, {items} may
/// also be written user_i, item_j, <items> (METHOD.md §3). Text between them is split as METHOD.md §2 says: blanks
/// before an ID token vanish.
class PromptTemplate {
 public:
  PromptTemplate() = default;
  explicit PromptTemplate(std::vector<PromptPiece> pieces) : pieces_(std::move(pieces)) {}
  static PromptTemplate compile(std::string_view text, const Tokenizer& tokenizer);

  /// Token ids. user, item (internal ids) and items are read only if the template names them.
  std::vector<int32_t> fill(const Vocabulary& vocabulary, int64_t user, int64_t item,
                            std::span<const int32_t> items) const;

  /// The template behind words of these ids.
  PromptTemplate behind(std::span<const int32_t> words) const;
  /// The template without these places.
  PromptTemplate without(PromptPiece::Kind kind) const;
  bool names(PromptPiece::Kind kind) const;
  /// Tokens without the items.
  int64_t fixed_length() const;
  const std::vector<PromptPiece>& pieces() const { return pieces_; }

 private:
  std::vector<PromptPiece> pieces_;
};

}  // namespace cllm
