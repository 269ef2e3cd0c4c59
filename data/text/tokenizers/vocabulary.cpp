// Tokens and merges as the files write them.

#include <algorithm>

#include "data/errors.h"
#include "data/text/tokenizers/byte_symbols.h"
#include "data/text/tokenizers/tokenizer_json.h"

namespace cllm {
namespace {

using nlohmann::json;

/// A vocabulary is far below this (the largest in use have 256k tokens); it keeps a damaged file from asking for
/// memory.
constexpr size_t kMaxTokens = 1 << 24;

/// Puts one entry of {"token": id} into its place.
void place_token(std::vector<std::string>& tokens, const std::string& name, const std::string& text, const json& id,
                 const std::string& where) {
  const std::string entry = where + ": token " + shown(name);
  if (text.empty()) throw DataError(where + ": an empty token");
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size())
    throw DataError(entry + " has id " + id.dump() + "; ids must be 0 .. " + std::to_string(tokens.size() - 1));
  std::string& token = tokens[id.get<size_t>()];
  if (!token.empty() && token != text) throw DataError(entry + " has the id " + id.dump() + " of another token");
  token = text;
}

}  // namespace

std::string shown(std::string token) {
  for (char& c : token) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return "'" + token + "'";
}

std::vector<std::string> tokens_of(const json& vocabulary, const json& added, bool bytes, const std::string& where) {
  if (!vocabulary.is_object()) throw DataError(where + ": the vocabulary is not an object of token: id");
  size_t count = vocabulary.size();
  for (const json& token : added) count += !vocabulary.contains(token.at("content").get<std::string>());
  if (count > kMaxTokens)
    throw DataError(where + ": " + std::to_string(count) + " tokens; at most 16777216 are supported");
  // As many distinct ids below the count as there are entries: none is missing.
  std::vector<std::string> tokens(count);
  for (const auto& [name, id] : vocabulary.items())
    place_token(tokens, name, bytes ? symbols_to_bytes(name) : name, id, where);
  for (const json& token : added) {
    const std::string content = token.at("content").get<std::string>();
    const bool known = bytes && vocabulary.contains(content);
    place_token(tokens, content, known ? symbols_to_bytes(content) : content, token.at("id"), where);
  }
  return tokens;
}

std::pair<std::string, std::string> merge_of(std::string_view line, const std::string& where) {
  const size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == line.size() ||
      line.find(' ', blank + 1) != std::string_view::npos)
    throw DataError(where + ": '" + std::string(line) + "' is not two symbols with a blank between");
  return {std::string(line.substr(0, blank)), std::string(line.substr(blank + 1))};
}

}  // namespace cllm
