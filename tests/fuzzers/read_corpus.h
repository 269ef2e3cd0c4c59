#pragma once

#include <filesystem>

namespace cllm::fuzz {

/// Opens the corpus and hands out every row. False if that ends in a DataError; nothing else may happen.
bool read_corpus(const std::filesystem::path& dir);

}  // namespace cllm::fuzz
