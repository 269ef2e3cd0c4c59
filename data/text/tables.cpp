#include "data/text/tables.h"

#include <xxhash.h>

#include <cstdio>
#include <memory>

#include "data/errors.h"

namespace cllm {
namespace {

using Ids = std::unordered_map<std::string_view, int32_t>;

/// A vocabulary is far below this (the largest in use have 256k tokens); it keeps a damaged file from asking for
/// memory.
constexpr size_t kMaxTokens = 1 << 24;

Ids ids_of(const std::vector<std::string>& tokens, const std::string& where) {
  if (tokens.size() > kMaxTokens)
    throw DataError(where + ": " + std::to_string(tokens.size()) + " tokens; at most 16777216 are supported");
  Ids ids;
  ids.reserve(tokens.size());
  for (const std::string& token : tokens) {
    if (!ids.emplace(token, static_cast<int32_t>(ids.size())).second)
      throw DataError(where + ": token '" + bytes_to_symbols(token) + "' occurs twice");
  }
  return ids;
}

int32_t id_of(const Ids& ids, const std::string& token, const std::string& where) {
  const auto found = ids.find(token);
  if (found == ids.end()) throw DataError(where + ": token '" + bytes_to_symbols(token) + "' is not in the vocabulary");
  return found->second;
}

/// Length-prefixed, so that different lists never hash alike.
void hash_text(XXH3_state_t* state, std::string_view text) {
  const uint64_t size = text.size();
  XXH3_128bits_update(state, &size, sizeof size);
  XXH3_128bits_update(state, text.data(), text.size());
}

std::string fingerprint_of(const Tokenizer::Tables& tables) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  XXH3_128bits_reset(state.get());
  for (const std::string& token : tables.tokens) hash_text(state.get(), token);
  XXH3_128bits_update(state.get(), tables.merges.data(), tables.merges.size() * sizeof tables.merges[0]);
  for (const AddedToken& token : tables.added.tokens()) {
    hash_text(state.get(), token.content);
    const int32_t what[] = {token.id, token.lstrip, token.rstrip};
    XXH3_128bits_update(state.get(), what, sizeof what);
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
  char digits[33];
  std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return digits;
}

}  // namespace

Tokenizer make_tokenizer(std::vector<std::string> tokens,
                         const std::vector<std::pair<std::string, std::string>>& merges, const std::string& where,
                         std::vector<AddedToken> added) {
  auto tables = std::make_shared<Tokenizer::Tables>();
  tables->tokens = std::move(tokens);
  const Ids ids = ids_of(tables->tokens, where);
  for (int byte = 0; byte < 256; ++byte)
    tables->byte_ids[static_cast<size_t>(byte)] = id_of(ids, std::string(1, static_cast<char>(byte)), where);
  tables->merge_table = MergeTable(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const std::string here = where + ": merge " + std::to_string(rank + 1);
    const int32_t left_id = id_of(ids, left, here), right_id = id_of(ids, right, here);
    tables->merges.emplace_back(left_id, right_id);
    if (!tables->merge_table.insert(left_id, right_id, {static_cast<int32_t>(rank), id_of(ids, left + right, here)}))
      throw DataError(here + ": '" + bytes_to_symbols(left) + " " + bytes_to_symbols(right) + "' occurs twice");
  }
  tables->added = AddedTokens(std::move(added));
  tables->fingerprint = fingerprint_of(*tables);
  return Tokenizer(std::move(tables));
}

}  // namespace cllm
