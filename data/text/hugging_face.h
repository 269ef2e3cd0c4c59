#pragma once

// Shared by the writers of tokenizer files. Internal to data/text.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "data/text/tokenizers/parts.h"

namespace cllm {

/// The content of tokenizer.json of GPT-2's own kind.
nlohmann::ordered_json gpt2_json(const TokenizerParts& parts);

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

/// DataError if the file cannot be written.
void write_text_file(const std::filesystem::path& path, const std::string& bytes);

}  // namespace cllm
