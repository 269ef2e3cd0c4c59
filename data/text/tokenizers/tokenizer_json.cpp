#include "data/text/tokenizers/tokenizer_json.h"

#include <xxhash.h>

#include <algorithm>
#include <cstdio>

#include "data/text/tokenizers/byte_symbols.h"
#include "data/text/tokenizers/json_reading.h"

namespace cllm {
namespace {

using nlohmann::json;

class Fingerprint {
 public:
  Fingerprint() { XXH3_128bits_reset(state_.get()); }
  void add(const void* bytes, size_t size) { XXH3_128bits_update(state_.get(), bytes, size); }
  /// Length-prefixed, so that different lists never hash alike.
  void add(std::string_view text) {
    const uint64_t size = text.size();
    add(&size, sizeof size);
    add(text.data(), text.size());
  }
  std::string digits() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    char out[33];
    std::snprintf(out, sizeof out, "%016llx%016llx", static_cast<unsigned long long>(hash.high64),
                  static_cast<unsigned long long>(hash.low64));
    return out;
  }

 private:
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state_{XXH3_createState(), &XXH3_freeState};
};

const json& part_or_null(const json& file, const char* key) {
  static const json kNull;
  return file.contains(key) ? file[key] : kNull;
}

bool is_unset(const json& object, const char* key) {
  return !object.contains(key) || object[key].is_null() || object[key] == "";
}

MergeList merges_of(const JsonPart& model, bool bytes) {
  MergeList merges;
  for (const json& merge : model.json.at("merges")) {
    const std::string here = model.where + ": merge " + std::to_string(merges.size() + 1);
    if (merge.is_string()) {
      merges.push_back(merge_of(merge.get<std::string>(), here));
    } else {
      if (!merge.is_array() || merge.size() != 2) throw DataError(here + ": " + merge.dump() + " is not a pair");
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    }
    if (!bytes) continue;
    merges.back() = {symbols_to_bytes(merges.back().first), symbols_to_bytes(merges.back().second)};
  }
  return merges;
}

/// The ids of the model's own vocabulary; keys are views into `tokens`.
TokenIds ids_of(const json& vocabulary, const std::vector<std::string>& tokens, const std::string& where) {
  TokenIds ids;
  ids.reserve(vocabulary.size());
  for (const json& id : vocabulary) {
    const std::string& token = tokens[id.get<size_t>()];
    if (!ids.emplace(token, id.get<int32_t>()).second)
      throw DataError(where + ": token '" + bytes_to_symbols(token) + "' occurs twice");
  }
  return ids;
}

std::optional<int32_t> unknown_of(const JsonPart& model, const TokenIds& ids) {
  if (is_unset(model.json, "unk_token")) return std::nullopt;
  const std::string name = model.json["unk_token"].get<std::string>();
  const auto found = ids.find(name);
  model.require(found != ids.end(), "unk_token " + shown(name) + " is not in the vocabulary");
  return found->second;
}

/// What GPT-2's own files are: their tokenizer is all in tokens and merges.
bool is_gpt2_kind(const json& file) {
  const JsonPart model{file.at("model"), ""};
  const json& split = part_or_null(file, "pre_tokenizer");
  const json& around = part_or_null(file, "post_processor");
  const json added = file.value("added_tokens", json::array());
  return model.text("type", "BPE") == "BPE" && !model.flag("ignore_merges", false) &&
         part_or_null(file, "normalizer").is_null() && split.is_object() && split.at("type") == "ByteLevel" &&
         !JsonPart{split, ""}.flag("add_prefix_space", true) && JsonPart{split, ""}.flag("use_regex", true) &&
         (around.is_null() || around.at("type") == "ByteLevel") &&
         std::all_of(added.begin(), added.end(), [](const json& t) { return t.at("content") == kEndOfText; });
}

void check_bpe(const JsonPart& model) {
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"})
    model.require(is_unset(model.json, key), std::string(key) + " is set, which is not supported");
}

AddedToken added_token(const json& token) {
  const JsonPart part{token, ""};
  return {token.at("id").get<int32_t>(),   token.at("content").get<std::string>(),
          part.flag("single_word", false), part.flag("lstrip", false),
          part.flag("rstrip", false),      part.flag("normalized", true),
          part.flag("special", false)};
}

AddedTokens added_tokens(const json& list, const Normalizer* normalizer) {
  std::vector<AddedToken> tokens;
  std::vector<std::string> normalized;
  for (const json& token : list) {
    tokens.push_back(added_token(token));
    normalized.push_back(tokens.back().content);
    if (normalizer != nullptr) normalizer->apply(normalized.back(), {.starts_text = true, .no_prefix = false});
  }
  return AddedTokens(std::move(tokens), normalized);
}

std::unique_ptr<TokenModel> bpe_model(const JsonPart& model, const std::vector<std::string>& tokens, bool bytes) {
  check_bpe(model);
  const TokenIds ids = ids_of(model.json.at("vocab"), tokens, model.where);
  BpeOptions options{.bytes = bytes,
                     .byte_fallback = model.flag("byte_fallback", false),
                     .fuse_unknown = model.flag("fuse_unk", false),
                     .ignore_merges = model.flag("ignore_merges", false),
                     .unknown = {}};
  if (!bytes) options.unknown = unknown_of(model, ids);
  return make_bpe(ids, merges_of(model, bytes), options, model.where);
}

/// Unigram's vocabulary, [[piece, score], ...], as {"piece": id}.
json vocabulary_of(const JsonPart& model) {
  const json& vocabulary = model.json.at("vocab");
  if (!vocabulary.is_array()) return vocabulary;
  json ids = json::object();
  for (size_t n = 0; n < vocabulary.size(); ++n) {
    const std::string piece = vocabulary[n].at(0).get<std::string>();
    model.require(ids.emplace(piece, n).second, "token " + shown(piece) + " occurs twice");
  }
  return ids;
}

std::unique_ptr<TokenModel> unigram_model(const JsonPart& model) {
  std::vector<ScoredPiece> pieces;
  for (const json& piece : model.json.at("vocab"))
    pieces.push_back({piece.at(0).get<std::string>(), piece.at(1).get<double>()});
  std::optional<int32_t> unknown;
  if (!is_unset(model.json, "unk_id")) unknown = model.json["unk_id"].get<int32_t>();
  return make_unigram(pieces, unknown, model.flag("byte_fallback", false), model.where);
}

std::unique_ptr<TokenModel> word_piece_model(const JsonPart& model, const std::vector<std::string>& tokens) {
  const TokenIds ids = ids_of(model.json.at("vocab"), tokens, model.where);
  const std::optional<int32_t> unknown = unknown_of(model, ids);
  model.require(unknown.has_value(), "unk_token is not set; a WordPiece model needs one");
  WordPieceOptions options{model.text("continuing_subword_prefix", "##"), 100, *unknown};
  if (model.json.contains("max_input_chars_per_word"))
    options.max_characters = model.json["max_input_chars_per_word"].get<uint32_t>();
  return make_word_piece(ids, options);
}

std::shared_ptr<const TokenizerParts> build(const json& file, const std::string& where) {
  const JsonPart model{file.at("model"), where + ": model"};
  const std::string type = model.text("type", "BPE");
  model.require(type == "BPE" || type == "Unigram" || type == "WordPiece",
                "type is '" + type + "'; known are BPE, Unigram, WordPiece");
  const json& split = part_or_null(file, "pre_tokenizer");
  const bool bytes = is_byte_level(split);
  model.require(!bytes || type == "BPE", "type is " + type + ", the pre-tokenizer ByteLevel goes with BPE alone");
  const json added = file.value("added_tokens", json::array());
  if (is_gpt2_kind(file)) {
    check_bpe(model);
    return gpt2_parts(tokens_of(model.json.at("vocab"), added, true, where), merges_of(model, true), where);
  }
  auto parts = std::make_shared<TokenizerParts>();
  parts->tokens = tokens_of(vocabulary_of(model), added, bytes, where);
  parts->normalizer = make_normalizer({part_or_null(file, "normalizer"), where + ": normalizer"});
  parts->added = added_tokens(added, parts->normalizer.get());
  parts->pre_tokenizer = make_pre_tokenizer({split, where + ": pre_tokenizer"});
  parts->model = type == "BPE"       ? bpe_model(model, parts->tokens, bytes)
                 : type == "Unigram" ? unigram_model(model)
                                     : word_piece_model(model, parts->tokens);
  parts->around = read_post_processor({part_or_null(file, "post_processor"), where + ": post_processor"},
                                      static_cast<int64_t>(parts->tokens.size()));
  parts->decoder = make_decoder({part_or_null(file, "decoder"), where + ": decoder"});
  json kept = file;
  for (const char* key : {"truncation", "padding"}) kept[key] = nullptr;  // of batches, not of the tokenizer
  parts->file = kept.dump();
  Fingerprint fingerprint;
  fingerprint.add(parts->file);
  parts->fingerprint = fingerprint.digits();
  return parts;
}

}  // namespace

std::shared_ptr<const TokenizerParts> parts_of(const json& file, const std::string& where) {
  try {
    return build(file, where);
  } catch (const json::exception& error) {  // a key is missing or of another type
    throw DataError(where + ": not a tokenizer: " + error.what());
  }
}

std::shared_ptr<const TokenizerParts> gpt2_parts(std::vector<std::string> tokens, const MergeList& merges,
                                                 const std::string& where) {
  auto parts = std::make_shared<TokenizerParts>();
  parts->tokens = std::move(tokens);
  TokenIds ids;
  ids.reserve(parts->tokens.size());
  for (const std::string& token : parts->tokens) {
    if (!ids.emplace(token, static_cast<int32_t>(ids.size())).second)
      throw DataError(where + ": token '" + bytes_to_symbols(token) + "' occurs twice");
  }
  if (const auto end = ids.find(kEndOfText); end != ids.end())
    parts->added =
        AddedTokens({{.id = end->second, .content = kEndOfText, .normalized = false, .special = true}}, {kEndOfText});
  parts->pre_tokenizer = gpt2_words();
  parts->model = make_bpe(ids, merges, {}, where, &parts->merges);
  Fingerprint fingerprint;
  for (const std::string& token : parts->tokens) fingerprint.add(token);
  fingerprint.add(parts->merges.data(), parts->merges.size() * sizeof parts->merges[0]);
  parts->fingerprint = fingerprint.digits();
  return parts;
}

}  // namespace cllm
