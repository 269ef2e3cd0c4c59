#pragma once

// Shared by the writers of tokenizer files. Internal to data/text.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "data/text/tokenizers/parts.h"

namespace cllm {

/// The content of tokenizer.json of GPT-2's own kind.
nlohmann::ordered_json gpt2_json(const TokenizerParts& parts);

/// DataError if the file cannot be written.
void write_text_file(const std::filesystem::path& path, const std::string& bytes);

}  // namespace cllm
