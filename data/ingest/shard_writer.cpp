#include "data/ingest/shard_writer.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>

namespace cllm {
namespace {

/// Raw ids of consecutive internal ids.
struct IdColumns {
  std::vector<uint8_t> bytes;
  std::vector<int64_t> offsets{0};
  std::vector<int32_t> input_order;

  void add(std::string_view raw_id, uint32_t number) {
    bytes.insert(bytes.end(), raw_id.begin(), raw_id.end());
    offsets.push_back(static_cast<int64_t>(bytes.size()));
    input_order.push_back(static_cast<int32_t>(number));
  }
  int64_t rows() const { return static_cast<int64_t>(input_order.size()); }
  uint64_t size_bytes() const { return bytes.size() + offsets.size() * 8 + input_order.size() * 8; }

  std::vector<int32_t> sorted() const {
    std::vector<int32_t> order(input_order.size());
    std::iota(order.begin(), order.end(), 0);
    const auto id = [&](int32_t n) {
      const auto at = static_cast<size_t>(n);
      return std::string_view(reinterpret_cast<const char*>(bytes.data()) + offsets[at],
                              static_cast<size_t>(offsets[at + 1] - offsets[at]));
    };
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return id(a) < id(b); });
    return order;
  }
};

template <typename T>
DatasetView view(const std::string& name, const std::vector<T>& values) {
  return {name, std::span<const T>(values)};
}

void write_ids(ShardFamily& family, const IdColumns& ids, std::vector<DatasetView> datasets) {
  const std::vector<int32_t> sorted = ids.sorted();
  datasets.push_back(view("raw_bytes", ids.bytes));
  datasets.push_back(view("raw_offsets", ids.offsets));
  datasets.push_back(view("raw_sorted", sorted));
  datasets.push_back(view("input_order", ids.input_order));
  family.write(ids.rows(), datasets);
}

/// Internal id -> raw number.
std::vector<uint32_t> inverse(const std::vector<uint32_t>& internal, uint32_t count) {
  std::vector<uint32_t> raw(count);
  for (size_t n = 0; n < internal.size(); ++n) {
    if (internal[n] != kDropped) raw[internal[n]] = static_cast<uint32_t>(n);
  }
  return raw;
}

/// One shard of users in memory.
struct UserColumns {
  struct OfPart {
    std::vector<int64_t> offsets{0};
    std::vector<int32_t> items, history;
    std::vector<int64_t> times;
    std::vector<float> ratings;
  };
  IdColumns ids;
  OfPart parts[kNumParts];
  std::vector<int32_t> train_new;
  int32_t num_new = 0;  // of the row that is being added

  /// One user's pairs of a part, by ascending item; they are reordered.
  void add(std::span<SplitPair> row, Part part, const CorpusColumns& columns) {
    OfPart& to = parts[static_cast<size_t>(part)];
    const auto item = [](const SplitPair& pair) { return static_cast<int32_t>(packed_item(pair.pair)); };
    for (const SplitPair& pair : row) to.items.push_back(item(pair));
    if (part == Part::kTrain)
      num_new = static_cast<int32_t>(std::count_if(row.begin(), row.end(), [](const auto& p) { return !p.trained; }));
    std::sort(row.begin(), row.end(), [](const SplitPair& a, const SplitPair& b) { return a.place < b.place; });
    for (const SplitPair& pair : row) {
      to.history.push_back(item(pair));
      if (columns.times) to.times.push_back(pair.time);
      if (columns.ratings) to.ratings.push_back(pair.rating);
    }
  }
  void end_row() {
    train_new.push_back(std::exchange(num_new, 0));
    for (OfPart& part : parts) part.offsets.push_back(static_cast<int64_t>(part.items.size()));
  }
  uint64_t size_bytes() const {
    uint64_t sum = ids.size_bytes();
    for (const OfPart& part : parts)
      sum += part.offsets.size() * 8 + part.items.size() * 8 + part.times.size() * 8 + part.ratings.size() * 4;
    return sum;
  }
  void write(ShardFamily& family, const CorpusColumns& columns) const {
    std::vector<DatasetView> datasets;
    for (size_t n = 0; n < kNumParts; ++n) {
      const std::string prefix(kPartNames[n]);
      datasets.push_back(view(prefix + "_offsets", parts[n].offsets));
      datasets.push_back(view(prefix + "_items", parts[n].items));
      datasets.push_back(view(prefix + "_history", parts[n].history));
      if (columns.times) datasets.push_back(view(prefix + "_times", parts[n].times));
      if (columns.ratings) datasets.push_back(view(prefix + "_ratings", parts[n].ratings));
    }
    if (columns.news) datasets.push_back(view("train_new", train_new));
    write_ids(family, ids, std::move(datasets));
  }
};

}  // namespace

void ShardFamily::write(int64_t rows, std::span<const DatasetView> datasets) {
  char number[16];
  std::snprintf(number, sizeof number, "-%06zu.h5", entries_.size());
  const std::string name = name_ + number;
  write_shard(corpus_ / name, datasets);
  sync_to_disk(corpus_ / name);
  const int64_t first_row = entries_.empty() ? 0 : entries_.back().first_row + entries_.back().rows;
  entries_.push_back({describe_file(corpus_, name), first_row, rows});
}

void write_users(ExternalSorter<SplitPair>& pairs, const InternalIds& ids, const IngestFolder& work,
                 CorpusManifest& manifest, RecordFile<PackedPair>& held_out) {
  const std::vector<uint32_t> raw_of = inverse(ids.users, ids.num_users);
  ShardFamily family(work.folder, "users");
  pairs.finish();
  SplitPair next;
  bool has_next = pairs.next(next);
  UserColumns shard;
  std::vector<SplitPair> row;
  for (uint32_t user = 0; user < ids.num_users; ++user) {
    shard.ids.add(work.users.name(raw_of[user]), raw_of[user]);
    while (has_next && packed_user(next.pair) == user) {
      const Part part = packed_part(next.pair);
      row.clear();
      for (; has_next && packed_user(next.pair) == user && packed_part(next.pair) == part;
           has_next = pairs.next(next)) {
        row.push_back(next);
        if (part != Part::kTrain) held_out.add(next.pair);
      }
      manifest.num_interactions[static_cast<size_t>(part)] += static_cast<int64_t>(row.size());
      shard.add(row, part, manifest.columns);
    }
    shard.end_row();
    if (shard.size_bytes() >= work.options.shard_bytes || user + 1 == ids.num_users) {
      shard.write(family, manifest.columns);
      shard = UserColumns();
      if (work.options.progress) work.options.progress("writing users", user + 1, ids.num_users);
    }
  }
  manifest.users = family.entries();
}

void write_items(const InternalIds& ids, const IngestFolder& work, CorpusManifest& manifest) {
  const std::vector<uint32_t> raw_of = inverse(ids.items, ids.num_items);
  ShardFamily family(work.folder, "items");
  IdColumns shard;
  for (uint32_t item = 0; item < ids.num_items; ++item) {
    shard.add(work.items.name(raw_of[item]), raw_of[item]);
    if (shard.size_bytes() >= work.options.shard_bytes || item + 1 == ids.num_items) {
      write_ids(family, shard, {});
      shard = IdColumns();
    }
  }
  manifest.items = family.entries();
}

}  // namespace cllm
