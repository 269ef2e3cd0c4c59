#pragma once

// What a byte-level BPE vocabulary is, in memory. Internal to data/text.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/text/added_tokens.h"
#include "data/text/tokenizer.h"

namespace cllm {

/// (left id, right id) -> rank and id of the merged token. Open addressing, because a lookup per adjacent pair is the
/// inner loop.
class MergeTable {
 public:
  struct Merge {
    int32_t rank = -1;  // -1: the pair does not merge
    int32_t merged = -1;
  };

  MergeTable() = default;
  explicit MergeTable(size_t num_merges);
  /// False if the pair is there already.
  bool insert(int32_t left, int32_t right, Merge merge);
  Merge find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t pair = kEmpty;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  static uint64_t pair_of(int32_t left, int32_t right);
  size_t slot_of(uint64_t pair) const;

  std::vector<Slot> slots_;
};

struct Tokenizer::Tables {
  std::vector<std::string> tokens;                  // id -> raw bytes
  std::vector<std::pair<int32_t, int32_t>> merges;  // by rank
  std::array<int32_t, 256> byte_ids{};              // byte -> id
  MergeTable merge_table;
  AddedTokens added;  // without <|endoftext|>, which is ordinary text
  std::string fingerprint;
};

/// From tokens and merges as raw bytes; `where` names the files in errors. DataError: a byte without token, a token
/// twice, a merge that names or makes an unknown token, a merge twice.
Tokenizer make_tokenizer(std::vector<std::string> tokens,
                         const std::vector<std::pair<std::string, std::string>>& merges, const std::string& where,
                         std::vector<AddedToken> added = {});

/// GPT-2's printable stand-ins for bytes: 0x20 is written as U+0120 and so on.
std::string bytes_to_symbols(std::string_view bytes);
/// The bytes of a text of stand-ins; a text with any other character (an added token such as "<|é|>" or "a b") is
/// returned as it is.
std::string symbols_to_bytes(std::string_view symbols);
/// The 256 bytes in the order of their stand-ins' code points, which is the order of GPT-2's first 256 ids.
std::array<unsigned char, 256> bytes_in_symbol_order();

}  // namespace cllm
