#pragma once

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "data/ingest/interactions.h"
#include "data/ingest/values/parse.h"

namespace cllm {

struct ByPairThenTime {
  bool operator()(const Pair& a, const Pair& b) const {
    return std::tuple(a.user, a.item, a.time, a.fraction, uint64_t{a.file}, uint64_t{a.line}) <
           std::tuple(b.user, b.item, b.time, b.fraction, uint64_t{b.file}, uint64_t{b.line});
  }
};
using PairSorter = ExternalSorter<Pair, ByPairThenTime>;

inline bool same_pair(const Pair& a, const Pair& b) { return a.user == b.user && a.item == b.item; }

inline std::string pair_names(const IngestFolder& work, const Pair& pair) {
  return "user " + quoted(work.users.name(pair.user)) + " and item " + quoted(work.items.name(pair.item));
}

/// Hands out the distinct pairs of a sorter; the others are bad rows, or counted in merged.
class DistinctPairs {
 public:
  DistinctPairs(PairSorter& sorter, IngestFolder& work, uint64_t* merged, bool of_split_file = false)
      : sorter_(sorter), work_(work), merged_(merged), of_split_file_(of_split_file), copies_(work.log.files().size()) {
    sorter_.finish();
    has_next_ = sorter_.next(next_);
  }
  bool next(Pair& pair) {
    if (!has_next_) return false;
    pair = next_;
    while ((has_next_ = sorter_.next(next_)) && same_pair(next_, pair)) {
      if (pair.known || next_.known) {
        ++work_.report.known_interactions;
        if (next_.known) pair = next_;
      } else if (merged_ != nullptr) {
        ++*merged_;
        count_copy(pair);
        if (next_.has_time() && !pair.has_time()) pair = next_;
      } else {
        work_.log.add(Problem::kDuplicate, next_.origin(),
                      pair_names(work_, pair) + " again, first at " + work_.log.where(pair.origin()));
        if (!of_split_file_) work_.log.add_hint("repeated events are normal? --merge-duplicates");
      }
    }
    return true;
  }

  /// A note on files of whose rows at least half stand in another, too.
  void tell_of_copies() const {
    for (size_t file = 0; file < copies_.size(); ++file) {
      const uint64_t rows = work_.log.rows_of(file);
      if (copies_[file] == 0 || copies_[file] * 2 < rows) continue;
      work_.log.note(work_.log.files()[file].filename().string() + ": " +
                     std::to_string(std::min(copies_[file], rows)) + " of " + std::to_string(rows) +
                     " rows stand in another file, too; if one is an "
                     "extract of the other, give the one to read: --input FILE");
    }
  }

 private:
  void count_copy(const Pair& pair) {
    if (pair.file == next_.file || pair.time != next_.time || pair.fraction != next_.fraction) return;
    ++copies_[pair.file];
    ++copies_[next_.file];
  }

  PairSorter& sorter_;
  IngestFolder& work_;
  uint64_t* merged_;
  bool of_split_file_;
  std::vector<uint64_t> copies_;  // by file: rows that another has, too
  Pair next_;
  bool has_next_;
};

}  // namespace cllm
