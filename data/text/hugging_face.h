#pragma once

// Shared by the writers of tokenizer files. Internal to data/text.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "data/text/tokenizer.h"

namespace cllm {

inline constexpr char kEndOfText[] = "<|endoftext|>";

/// The content of tokenizer.json.
nlohmann::ordered_json hugging_face_json(const Tokenizer& tokenizer);

/// DataError if the file cannot be written.
void write_text_file(const std::filesystem::path& path, const std::string& bytes);

}  // namespace cllm
