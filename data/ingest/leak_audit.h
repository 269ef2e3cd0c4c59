#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/ingest/filter.h"
#include "data/ingest/split.h"
#include "data/ingest/storage/text_spool.h"

namespace cllm {

/// Looks for held-out data in the texts that are trained on: ids and titles of the items held out from the user that a
/// text is of, users from whom the item of a text is held out, and held-out texts that are there again under another
/// pair. Counts are compared with what other users (items) would give by chance: of repeated texts, how many texts that
/// are trained on repeat each other from user to user, as those do that a form or a program wrote. At most kMostBytes
/// of the texts are looked at, spread evenly; memory is bounded by an eighth of memory_bytes.
class LeakAudit {
 public:
  /// `held_out`: ascending.
  LeakAudit(const IngestFolder& work, const InternalIds& ids, std::span<const PackedPair> held_out);

  void held_out_text(std::string_view text);
  /// Checks that found more than chance explains. `kinds`: names by TextEntry::kind.
  std::vector<LeakCheck> run(TextSpool& spool, const std::vector<std::string>& kinds);

 private:
  static constexpr uint64_t kMostBytes = uint64_t{512} << 20;

  /// Texts of one check.
  struct Tally {
    uint64_t found = 0, looked_at = 0;
    double by_chance = 0;
    std::vector<std::string> examples;
  };
  /// Texts by sequences of words, some of them, so that texts that are alike are found.
  struct Alike {
    std::unordered_multimap<uint64_t, uint32_t> shingles;  // -> which text
    std::vector<uint32_t> sizes;                           // how many shingles, by text
    std::vector<int32_t> users;
    void add(int32_t user, const std::unordered_set<uint64_t>& of_text, size_t most);
    /// So many texts share half of their shingles with this one; of `user` none counts.
    uint32_t count(int32_t user, const std::unordered_set<uint64_t>& of_text) const;
  };
  bool is_held_out(int32_t user, int32_t item) const;
  uint64_t learn_titles(TextSpool& spool, const std::vector<std::string>& kinds);  // bytes of all texts
  void check_ids(const TextEntry& entry);
  void check_titles(const TextEntry& entry);
  void check_repeated(const TextEntry& entry);
  void add(Tally& tally, bool found, double by_chance, const std::string& example);
  std::string example_of(int32_t user, int32_t item, std::string_view text) const;

  const IngestFolder& work_;
  const InternalIds& ids_;
  std::span<const PackedPair> held_out_;
  std::vector<uint32_t> held_of_user_, held_of_item_;  // held-out pairs, by internal id
  std::vector<uint32_t> raw_users_, raw_items_;        // numbers of raw ids, by internal id
  std::unordered_map<uint64_t, int32_t> titles_;       // of the words -> item; of several items: kAmbiguous
  size_t longest_title_ = 0;
  Alike held_out_texts_, trained_texts_;  // of pairs
  size_t most_shingles_ = 0;
  double forms_ = 0, by_chance_of_few_ = 0;  // texts that are forms; of the others, by Tally::by_chance
  Tally item_ids_, user_ids_, titles_found_, repeated_, repeated_alone_;
};

}  // namespace cllm
