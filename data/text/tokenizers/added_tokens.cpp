#include "data/text/tokenizers/added_tokens.h"

#include <algorithm>

#include "data/text/characters/unicode.h"

namespace cllm {
namespace {

/// Neither the character before nor the one behind belongs to a word.
bool stands_alone(std::string_view text, size_t start, size_t end) {
  return (start == 0 || !is_word_character(last_code_point(text.substr(0, start)).value)) &&
         (end == text.size() || !is_word_character(code_point_at(text, end).value));
}

/// Start of the white space that ends at `end`, not before `least`.
size_t space_before(std::string_view text, size_t least, size_t end) {
  while (end > least) {
    const CodePoint last = last_code_point(text.substr(0, end));
    if (!is_space(last.value)) break;
    end -= last.bytes;
  }
  return std::max(end, least);
}

size_t space_behind(std::string_view text, size_t start) {
  while (start < text.size()) {
    const CodePoint next = code_point_at(text, start);
    if (!is_space(next.value)) break;
    start += next.bytes;
  }
  return start;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const std::vector<std::string>& normalized)
    : tokens_(std::move(tokens)) {
  size_t bytes[2] = {0, 0};
  const auto content = [&](size_t n) -> const std::string& {
    return tokens_[n].normalized ? normalized[n] : tokens_[n].content;
  };
  for (size_t n = 0; n < tokens_.size(); ++n) bytes[tokens_[n].normalized] += content(n).size();
  raw_.trie = Trie(bytes[false]);
  normalized_.trie = Trie(bytes[true]);
  for (size_t n = 0; n < tokens_.size(); ++n) {
    if (content(n).empty()) continue;
    Group& group = tokens_[n].normalized ? normalized_ : raw_;
    group.trie.insert(content(n), static_cast<int32_t>(n));
    group.has_any = true;
    group.has_ordinary = group.has_ordinary || !tokens_[n].special;
  }
}

void AddedTokens::split(std::string_view text, bool in_normalized, bool special, const Fragment& fragment,
                        const Token& token) const {
  const Group& group = in_normalized ? normalized_ : raw_;
  size_t begin = 0;
  const bool search = special ? group.has_any : group.has_ordinary;
  for (size_t at = 0; search && at < text.size();) {
    const Trie::Found found = group.trie.longest(text.substr(at));
    if (found.id < 0) {
      ++at;
      continue;
    }
    const AddedToken& added = tokens_[static_cast<size_t>(found.id)];
    size_t start = at, end = at + found.bytes;
    at = end;
    if (added.special && !special) continue;
    if (added.single_word && !stands_alone(text, start, end)) continue;
    if (added.lstrip) start = space_before(text, begin, start);
    if (added.rstrip) at = end = space_behind(text, end);
    if (start > begin) fragment(text.substr(begin, start - begin), begin);
    token(added.id);
    begin = end;
  }
  if (begin < text.size()) fragment(text.substr(begin), begin);
}

bool AddedTokens::is_special(int32_t id) const {
  return std::any_of(tokens_.begin(), tokens_.end(), [&](const AddedToken& t) { return t.id == id && t.special; });
}

}  // namespace cllm
