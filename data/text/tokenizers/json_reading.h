#pragma once

// How the parts of tokenizer.json are read. nlohmann's exceptions (a key is missing or of another type) become
// DataErrors at the top, in tokenizer_json.cpp. Internal to data/text/tokenizers.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "data/errors.h"
#include "data/text/characters/regex.h"
#include "data/text/tokenizers/parts.h"

namespace cllm {

/// A part of the file: its object and its place for messages ("t/tokenizer.json: pre_tokenizer").
struct JsonPart {
  const nlohmann::json& json;
  std::string where;

  [[noreturn]] void refuse(const std::string& what) const { throw DataError(where + ": " + what); }
  void require(bool condition, const std::string& what) const {
    if (!condition) refuse(what);
  }
  std::string type() const { return json.at("type").get<std::string>(); }
  /// Absent or null: the default of the format.
  bool flag(const char* key, bool otherwise) const {
    return json.contains(key) && json[key].is_boolean() ? json[key].get<bool>() : otherwise;
  }
  std::string text(const char* key, const std::string& otherwise) const {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : otherwise;
  }
  /// One character.
  std::string character(const char* key, const std::string& otherwise) const;
  /// The pattern under a key: {"String": "a"} or {"Regex": "a+"}.
  Regex pattern(const char* key) const;
  /// The parts of a Sequence.
  template <typename Make>
  auto each(const char* key, Make make) const {
    std::vector<decltype(make(*this))> parts;
    for (const nlohmann::json& part : json.at(key))
      parts.push_back(make(JsonPart{part, where + "[" + std::to_string(parts.size()) + "]"}));
    return parts;
  }
};

/// Each nullptr for null; DataError names a type that is not known.
std::unique_ptr<Normalizer> make_normalizer(const JsonPart& part);
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonPart& part);
std::unique_ptr<TokenDecoder> make_decoder(const JsonPart& part);
TokensAround read_post_processor(const JsonPart& part, int64_t num_tokens);

/// Is ByteLevel the pre-tokenizer, or the last of a Sequence?
bool is_byte_level(const nlohmann::json& pre_tokenizer);
/// The words of GPT-2's pattern.
std::unique_ptr<PreTokenizer> gpt2_words();

/// All matches of `pattern` that are not empty, replaced.
std::string replace_all(const std::string& text, const Regex& pattern, const std::string& content);

/// The bytes of base64; DataError.
std::string from_base64(const JsonPart& part, const char* key);
std::unique_ptr<Normalizer> make_charsmap(const JsonPart& part);

}  // namespace cllm
