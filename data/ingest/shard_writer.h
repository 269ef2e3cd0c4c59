#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus/manifest.h"
#include "data/ingest/filter.h"
#include "data/ingest/split.h"

namespace cllm {

/// The shards of one family ("users", "items", "texts") in the order of their rows.
class ShardFamily {
 public:
  ShardFamily(std::filesystem::path corpus, std::string name) : corpus_(std::move(corpus)), name_(std::move(name)) {}
  void write(int64_t rows, std::span<const DatasetView> datasets);
  const std::vector<CorpusShard>& entries() const { return entries_; }

 private:
  std::filesystem::path corpus_;
  std::string name_;
  std::vector<CorpusShard> entries_;
};

/// Writes users with their raw ids and histories (times and ratings if the columns of the manifest say so); consumes
/// the sorted pairs, fills the counts of the manifest, and appends the held-out pairs (sorted) to held_out.
void write_users(ExternalSorter<SplitPair>& pairs, const InternalIds& ids, const IngestFolder& work,
                 CorpusManifest& manifest, RecordFile<PackedPair>& held_out);

/// Writes items with their raw ids.
void write_items(const InternalIds& ids, const IngestFolder& work, CorpusManifest& manifest);

}  // namespace cllm
