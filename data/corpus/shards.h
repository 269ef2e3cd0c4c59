#pragma once

// The files of a corpus as typed views. Opening checks what the manifest allows to check; each row is checked when it
// is read.

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/corpus/manifest.h"
#include "data/corpus/shard_file.h"
#include "data/errors.h"

namespace cllm {

/// Rows of varying length: row r is values[offsets[r] .. offsets[r + 1]).
template <typename T>
struct Ragged {
  std::span<const int64_t> offsets;
  std::span<const T> values;

  /// DataError unless offsets may belong to the values; each row is checked when it is read.
  void check_ends(const std::string& where) const {
    if (offsets.front() != 0 || offsets.back() != static_cast<int64_t>(values.size())) {
      throw DataError(where + ": the offsets do not end where the values end; the shard is damaged");
    }
  }
  std::span<const T> row(int64_t r) const {
    const int64_t begin = offsets[static_cast<size_t>(r)], end = offsets[static_cast<size_t>(r) + 1];
    if (begin < 0 || end < begin || end > static_cast<int64_t>(values.size())) {
      throw DataError("a row of the corpus is damaged (offsets " + std::to_string(begin) + " .. " +
                      std::to_string(end) + " of " + std::to_string(values.size()) +
                      "); verify the checksums of its files");
    }
    return values.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  }
};

struct Shard {
  int64_t first_row = 0, rows = 0;
  ShardFile file;
};

struct IdShard : Shard {
  Ragged<uint8_t> raw;
  std::span<const int32_t> sorted, input_order;

  std::string_view raw_id(int64_t local) const {
    const auto bytes = raw.row(local);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// Local row of the id, by binary search over the rows in the order of their bytes.
  std::optional<int64_t> find(std::string_view id) const;

 private:
  int64_t checked(int32_t row) const;
};

/// What a shard knows of one part; the columns that the corpus lacks are empty.
struct HistoryColumns {
  Ragged<int32_t> items, history;
  Ragged<int64_t> times;
  Ragged<float> ratings;
};

struct UserShard : IdShard {
  std::array<HistoryColumns, kNumParts> parts;
  std::span<const int32_t> train_new = {};  // empty unless the corpus extends another
  const HistoryColumns& of(Part part) const { return parts[static_cast<size_t>(part)]; }
};

struct TextShard : Shard {
  std::span<const int32_t> user, item, kind;
  Ragged<int32_t> tokens;
  Ragged<uint8_t> raw;  // empty in version 1
};

/// All DataErrors of ShardFile::open, and one for offsets that do not end where their values end.
UserShard open_users(const std::filesystem::path& corpus, const CorpusShard& entry, const CorpusColumns& columns);
IdShard open_items(const std::filesystem::path& corpus, const CorpusShard& entry);
TextShard open_texts(const std::filesystem::path& corpus, const CorpusShard& entry, const CorpusColumns& columns);

}  // namespace cllm
