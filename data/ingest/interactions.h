#pragma once

#include <filesystem>
#include <limits>

#include "data/ingest/prepare.h"
#include "data/ingest/storage/id_map.h"
#include "data/ingest/storage/spill.h"

namespace cllm {

/// An interaction by the numbers of its raw ids (IdMap).
struct Pair {
  uint32_t user = 0, item = 0;
  int64_t time = 0;
  uint64_t line : 44 = 0;  // with the file: place in the input, breaks ties of time
  uint64_t file : 16 = 0;
  uint64_t part : 2 = 0;                                   // Part; of a split file, or of the corpus that is extended
  uint64_t known : 1 = 0;                                  // of the corpus that is extended, `line` is its place there
  uint64_t trained : 1 = 0;                                // which trains on it: it stays in training
  float rating = std::numeric_limits<float>::quiet_NaN();  // NaN: the row has none
  uint32_t fraction = 0;                                   // of the time, as of Moment

  bool has_time() const { return Moment{time, fraction}.is_known(); }
  Origin origin() const { return {line, file}; }
};
static_assert(sizeof(Pair) == 32, "what the memory of a sort is counted by");

struct Predecessor;

/// What the stages of prepare share.
struct IngestFolder {
  const PrepareOptions& options;
  std::filesystem::path folder;  // for temporary files; the corpus grows here as well
  ProblemLog log;
  IdMap users, items;
  bool users_declared = false, items_declared = false;  // listed in files of their own
  PrepareReport report;
  uint64_t timed_rows = 0, rated_rows = 0, rows = 0;     // good interactions: with a time, with a rating, all
  const Predecessor* before = nullptr;                   // the corpus that is extended
  std::vector<uint64_t> old_texts = {};                  // hash_of() its texts, ascending
  std::vector<uint32_t> old_users = {}, old_items = {};  // its internal ids, by the numbers of their raw ids: the first
};

/// Reads all interactions: ids are numbered, pairs sorted by (user, item), duplicates removed (the first in time
/// stays, one without a time only if none has one), and parts of a split file joined to them. Throws DataError if too
/// many rows are bad.
RecordFile<Pair> collect_interactions(Source& source, IngestFolder& work);

}  // namespace cllm
