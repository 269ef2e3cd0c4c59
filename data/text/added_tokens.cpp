#include "data/text/added_tokens.h"

#include <algorithm>
#include <utility>

namespace cllm {
namespace {

/// Unicode's White_Space beyond ASCII, in UTF-8.
constexpr std::string_view kWideSpaces[] = {
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
    "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86", "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A",
    "\xE2\x80\xA8", "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Bytes of white space that `text` begins with, one character's; 0: none.
size_t space_at_start(std::string_view text) {
  if (!text.empty() && is_space(text.front())) return 1;
  for (const std::string_view space : kWideSpaces) {
    if (text.starts_with(space)) return space.size();
  }
  return 0;
}

size_t space_at_end(std::string_view text) {
  if (!text.empty() && is_space(text.back())) return 1;
  for (const std::string_view space : kWideSpaces) {
    if (text.ends_with(space)) return space.size();
  }
  return 0;
}

uint64_t edge(uint32_t node, char byte) { return uint64_t{node} << 8 | static_cast<unsigned char>(byte); }

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)), ends_(1, kNone) {
  std::sort(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  for (uint32_t n = 0; n < tokens_.size(); ++n) {
    uint32_t node = 0;
    for (const char byte : tokens_[n].content) {
      const auto [at, added] = next_.try_emplace(edge(node, byte), static_cast<uint32_t>(ends_.size()));
      if (added) ends_.push_back(kNone);
      node = at->second;
    }
    ends_[node] = n;
    begins_[static_cast<unsigned char>(tokens_[n].content.front())] = true;
  }
}

uint32_t AddedTokens::longest_at(std::string_view text, size_t begin) const {
  uint32_t node = 0, found = kNone;
  for (size_t n = begin; n < text.size(); ++n) {
    const auto at = next_.find(edge(node, text[n]));
    if (at == next_.end()) break;
    node = at->second;
    if (ends_[node] != kNone) found = ends_[node];
  }
  return found;
}

std::optional<AddedTokens::Match> AddedTokens::find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!begins_[static_cast<unsigned char>(text[begin])]) continue;
    const uint32_t found = longest_at(text, begin);
    if (found == kNone) continue;
    const AddedToken& token = tokens_[found];
    Match match{token.id, begin, begin + token.content.size()};
    if (token.lstrip) {
      while (const size_t space = space_at_end(text.substr(from, match.begin - from))) match.begin -= space;
    }
    if (token.rstrip) {
      while (const size_t space = space_at_start(text.substr(match.end))) match.end += space;
    }
    return match;
  }
  return {};
}

}  // namespace cllm
