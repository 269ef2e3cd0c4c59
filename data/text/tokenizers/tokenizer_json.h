#pragma once

// tokenizer.json (Hugging Face) to the parts of a tokenizer.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/text/tokenizers/models.h"
#include "data/text/tokenizers/parts.h"

namespace cllm {

inline constexpr char kEndOfText[] = "<|endoftext|>";

/// Any tokenizer.json; `where` starts messages. DataError: a key that is missing or of another type, a part that is not
/// known (its ids would differ silently), ids that are not 0 .. size - 1, each once, a merge that cannot be.
std::shared_ptr<const TokenizerParts> parts_of(const nlohmann::json& file, const std::string& where);

/// GPT-2's own kind from tokens and merges as bytes; <|endoftext|>, if it is a token, is special.
std::shared_ptr<const TokenizerParts> gpt2_parts(std::vector<std::string> tokens, const MergeList& merges,
                                                 const std::string& where);

/// A vocabulary {"token": id} and added tokens as text by id. `bytes`: tokens of the vocabulary are stand-ins for
/// bytes.
std::vector<std::string> tokens_of(const nlohmann::json& vocabulary, const nlohmann::json& added, bool bytes,
                                   const std::string& where);
/// `model` of tokenizer.json: byte-pair encoding without anything that a file may set beside it.
template <typename Json>
Json bpe_model_json(Json vocabulary, Json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

/// A token as an error names it, in quotes and on one line.
std::string shown(std::string token);

/// "left right".
std::pair<std::string, std::string> merge_of(std::string_view line, const std::string& where);

}  // namespace cllm
