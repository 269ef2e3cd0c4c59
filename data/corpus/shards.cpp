#include "data/corpus/shards.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace cllm {
namespace {

Shard open_shard(const std::filesystem::path& dir, const CorpusShard& entry, const std::vector<DatasetSpec>& specs) {
  return {entry.first_row, entry.rows, ShardFile::open(dir / entry.file.name, entry.file.bytes, specs)};
}

IdShard as_ids(Shard shard, const std::string& name) {
  IdShard ids;
  static_cast<Shard&>(ids) = std::move(shard);
  ids.raw = {ids.file.dataset<int64_t>("raw_offsets"), ids.file.dataset<uint8_t>("raw_bytes")};
  ids.raw.check_ends(name);
  ids.sorted = ids.file.dataset<int32_t>("raw_sorted");
  ids.input_order = ids.file.dataset<int32_t>("input_order");
  return ids;
}

}  // namespace

std::optional<int64_t> IdShard::find(std::string_view id) const {
  const auto at =
      std::partition_point(sorted.begin(), sorted.end(), [&](int32_t r) { return raw_id(checked(r)) < id; });
  if (at == sorted.end() || raw_id(checked(*at)) != id) return std::nullopt;
  return *at;
}

int64_t IdShard::checked(int32_t row) const {
  if (row < 0 || row >= rows)
    throw DataError("the id index of the corpus is damaged; verify its checksums: cllm4rec inspect --verify");
  return row;
}

IdShard open_items(const std::filesystem::path& corpus, const CorpusShard& entry) {
  return as_ids(open_shard(corpus, entry, item_datasets(entry.rows)), entry.file.name);
}

UserShard open_users(const std::filesystem::path& corpus, const CorpusShard& entry, const CorpusColumns& columns) {
  const std::string& name = entry.file.name;
  UserShard users{as_ids(open_shard(corpus, entry, user_datasets(entry.rows, columns)), name), {}, {}};
  if (columns.news) users.train_new = users.file.dataset<int32_t>("train_new");
  for (size_t part = 0; part < kNumParts; ++part) {
    const std::string prefix(kPartNames[part]);
    const auto offsets = users.file.dataset<int64_t>(prefix + "_offsets");
    const auto read = [&]<typename T>(Ragged<T>& rows, const char* column) {
      rows = {offsets, users.file.dataset<T>(prefix + column)};
      rows.check_ends(name);
    };
    HistoryColumns& to = users.parts[part];
    read(to.items, "_items");
    if (columns.histories) read(to.history, "_history");
    if (columns.times) read(to.times, "_times");
    if (columns.ratings) read(to.ratings, "_ratings");
  }
  return users;
}

TextShard open_texts(const std::filesystem::path& corpus, const CorpusShard& entry, const CorpusColumns& columns) {
  const std::string& name = entry.file.name;
  TextShard texts{{open_shard(corpus, entry, text_datasets(entry.rows, columns))}, {}, {}, {}, {}, {}};
  texts.user = texts.file.dataset<int32_t>("user");
  texts.item = texts.file.dataset<int32_t>("item");
  texts.kind = texts.file.dataset<int32_t>("kind");
  texts.tokens = {texts.file.dataset<int64_t>("offsets"), texts.file.dataset<int32_t>("tokens")};
  texts.tokens.check_ends(name);
  if (columns.raw_texts) {
    texts.raw = {texts.file.dataset<int64_t>("raw_offsets"), texts.file.dataset<uint8_t>("raw_bytes")};
    texts.raw.check_ends(name);
  }
  return texts;
}

}  // namespace cllm
