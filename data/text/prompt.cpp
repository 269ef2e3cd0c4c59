#include "data/text/prompt.h"

#include <algorithm>

#include "data/text/id_tokens.h"

namespace cllm {
namespace {

using Kind = PromptPiece::Kind;

struct Place {
  std::string_view name;
  Kind kind;
};
constexpr Place kPlaces[] = {{"{user}", Kind::kUser}, {"{item}", Kind::kItem}, {"{items}", Kind::kItems},
                             {"user_i", Kind::kUser}, {"item_j", Kind::kItem}, {"<items>", Kind::kItems}};

bool is_word_character(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// "user_i" in "user_id" names no place.
bool stands_at(const Place& place, std::string_view text, size_t start) {
  if (!text.substr(start).starts_with(place.name)) return false;
  const size_t end = start + place.name.size();
  return !is_word_character(place.name.back()) || end == text.size() || !is_word_character(text[end]);
}

const Place* place_at(std::string_view text, size_t start) {
  const auto found =
      std::find_if(std::begin(kPlaces), std::end(kPlaces), [&](const Place& p) { return stands_at(p, text, start); });
  return found == std::end(kPlaces) ? nullptr : found;
}

}  // namespace

PromptTemplate PromptTemplate::compile(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<PromptPiece> pieces;
  size_t words_start = 0;
  const auto add_words = [&](size_t end) {
    const std::string_view words = strip_right(text.substr(words_start, end - words_start));
    for (const int32_t word : tokenizer.encode(words, {.behind_id = words_start > 0}))
      pieces.push_back({Kind::kWord, word});
  };
  for (size_t at = 0; at < text.size();) {
    const Place* place = place_at(text, at);
    if (place == nullptr) {
      ++at;
      continue;
    }
    add_words(at);
    pieces.push_back({place->kind});
    at += place->name.size();
    words_start = at;
  }
  add_words(text.size());
  return PromptTemplate(std::move(pieces));
}

std::vector<int32_t> PromptTemplate::fill(const Vocabulary& vocabulary, int64_t user, int64_t item,
                                          std::span<const int32_t> items) const {
  std::vector<int32_t> tokens;
  tokens.reserve(pieces_.size() + items.size());
  for (const PromptPiece& piece : pieces_) {
    switch (piece.kind) {
      case Kind::kWord: tokens.push_back(piece.word); break;
      case Kind::kUser: tokens.push_back(vocabulary.user_token(user)); break;
      case Kind::kItem: tokens.push_back(vocabulary.item_token(item)); break;
      case Kind::kItems:
        for (const int32_t j : items) tokens.push_back(vocabulary.item_token(j));
        break;
    }
  }
  return tokens;
}

PromptTemplate PromptTemplate::behind(std::span<const int32_t> words) const {
  std::vector<PromptPiece> all;
  for (const int32_t word : words) all.push_back({Kind::kWord, word});
  all.insert(all.end(), pieces_.begin(), pieces_.end());
  return PromptTemplate(std::move(all));
}

PromptTemplate PromptTemplate::without(PromptPiece::Kind kind) const {
  std::vector<PromptPiece> kept = pieces_;
  std::erase_if(kept, [&](const PromptPiece& piece) { return piece.kind == kind; });
  return PromptTemplate(std::move(kept));
}

bool PromptTemplate::names(PromptPiece::Kind kind) const {
  return std::any_of(pieces_.begin(), pieces_.end(), [&](const PromptPiece& piece) { return piece.kind == kind; });
}

int64_t PromptTemplate::fixed_length() const {
  return std::count_if(pieces_.begin(), pieces_.end(),
                       [](const PromptPiece& piece) { return piece.kind != Kind::kItems; });
}

}  // namespace cllm
