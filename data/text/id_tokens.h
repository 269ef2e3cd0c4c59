#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "data/text/tokenizer.h"
#include "data/vocabulary.h"

namespace cllm {

/// METHOD.md §2: the text is split at user_\d+ and item_\d+; every piece loses its RIGHT white space; empty pieces
/// vanish. user_i and item_j in range become ID tokens; any other word (user_007, or out of range) is ordinary text,
/// still a piece of its own.
std::vector<int32_t> encode_with_ids(const Tokenizer& tokenizer, const Vocabulary& vocabulary, std::string_view text);

/// `text` without the white space at its end (Unicode's, as Python's str.rstrip).
std::string_view strip_right(std::string_view text);

/// Writes tokenizer.json and tokenizer_config.json such that transformers' AutoTokenizer gives the ids of
/// encode_with_ids. DataError if a file cannot be written.
void save_with_id_tokens(const Tokenizer& tokenizer, const Vocabulary& vocabulary, const std::filesystem::path& dir);

}  // namespace cllm
