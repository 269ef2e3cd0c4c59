#pragma once

// The models: pieces of text to ids. Internal to data/text.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/text/tokenizers/parts.h"

namespace cllm {

using MergeList = std::vector<std::pair<std::string, std::string>>;  // left and right token, by rank

struct BpeOptions {
  bool bytes = true;               // words are bytes; else characters
  bool byte_fallback = false;      // a character without token becomes its bytes' tokens <0xHH>, if all exist
  bool fuse_unknown = false;       // neighbouring unknown characters are one unknown token
  bool ignore_merges = false;      // a piece that is a token is that token
  std::optional<int32_t> unknown;  // else unknown characters vanish
};

/// Byte-pair encoding: always the adjacent pair of lowest rank, the leftmost of equals, is joined; O(n log n). `where`
/// starts messages. `ids` are those of the model's vocabulary. `merge_ids` (if not null) gets the merges' ids.
/// DataError: a byte without token (bytes), a merge that names or makes an unknown token, a merge twice.
std::unique_ptr<TokenModel> make_bpe(const TokenIds& ids, const MergeList& merges, const BpeOptions& options,
                                     const std::string& where,
                                     std::vector<std::pair<int32_t, int32_t>>* merge_ids = nullptr);

struct ScoredPiece {
  std::string text;
  double score;
};
/// Unigram (Kudo 2018): the pieces of highest total score; ids are their places. A character without piece is the
/// unknown one with the lowest score - 10; neighbouring unknown ones are one token.
std::unique_ptr<TokenModel> make_unigram(const std::vector<ScoredPiece>& pieces, std::optional<int32_t> unknown,
                                         bool byte_fallback, const std::string& where);

struct WordPieceOptions {
  std::string prefix = "##";  // of pieces that go on
  size_t max_characters = 100;
  int32_t unknown = 0;
};
/// Longest match from the left; a word with a rest that no piece fits is unknown as a whole.
std::unique_ptr<TokenModel> make_word_piece(const TokenIds& ids, const WordPieceOptions& options);

/// The id of <0xHH> for each byte if all 256 exist.
std::optional<std::vector<int32_t>> byte_tokens(const TokenIds& ids);

}  // namespace cllm
