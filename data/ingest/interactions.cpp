#include "data/ingest/interactions.h"

#include <algorithm>

#include "data/errors.h"
#include "data/ingest/distinct_pairs.h"
#include "data/ingest/extend.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/times/time_units.h"
#include "data/ingest/values/lookalikes.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

constexpr uint64_t kSortShare =
    4;  // a sorter may use 1/4 of the memory: two are alive at once, and the maps may take another 1/3
constexpr uint64_t kMapShare = 3;

bool is_good_id(std::string_view id) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
  return !is_no_value(id) && id.size() <= IdMap::kMaxLength && std::none_of(id.begin(), id.end(), is_control);
}

/// Numbers of ids that a file has in a list: each is looked up once.
class ListedIds {
 public:
  template <typename LookUp>
  std::optional<uint32_t> number(CellCode code, const LookUp& look_up) {
    if (code.list == 0) return look_up();
    if (code.list != list_) numbers_.assign(code.length, kUnknown);
    list_ = code.list;
    uint32_t& number = numbers_[code.place];
    if (number != kUnknown) return number;
    const std::optional<uint32_t> found = look_up();
    if (found) number = *found;
    return found;
  }

 private:
  static constexpr uint32_t kUnknown = ~uint32_t{0};

  uint64_t list_ = 0;
  std::vector<uint32_t> numbers_;  // by places in the list
};

/// Numbers ids and fills the sorter.
class Collector : public RowSink {
 public:
  Collector(IngestFolder& work, PairSorter& pairs) : work_(work), pairs_(pairs) {}

  TimeUnits units;
  Lookalikes unknown_users, unknown_items;  // that are not declared

  void declare_user(std::string_view id, Origin origin) override {
    work_.users_declared = true;
    declare(work_.users, id, origin);
  }
  void declare_item(std::string_view id, Origin origin) override {
    work_.items_declared = true;
    declare(work_.items, id, origin);
  }
  void interaction(const InteractionRow& row) override {
    work_.users.fetch(row.user_facts.ahead);
    work_.items.fetch(row.item_facts.ahead);
    if (work_.options.rating_threshold) {
      if (!row.rating)
        return work_.log.add(
            Problem::kNumber, row.origin,
            "no rating, but a rating threshold is set; if another column has them: --columns rating=NAME");
      if (*row.rating < *work_.options.rating_threshold) {
        ++work_.report.below_threshold;
        return;
      }
    }
    const auto user = listed_users_.number(
        row.user_facts.code, [&] { return number(work_.users, row.user, work_.users_declared, row.origin, "user"); });
    if (!user) return;
    const auto item = listed_items_.number(
        row.item_facts.code, [&] { return number(work_.items, row.item, work_.items_declared, row.origin, "item"); });
    if (!item) return;
    Pair pair;
    pair.user = *user;
    pair.item = *item;
    const Moment time = row.time.value_or(Moment::unknown());
    pair.time = time.time;
    pair.fraction = time.fraction;
    pair.line = row.origin.line & 0xFFFFFFFFFFF;
    pair.file = row.origin.file;
    if (row.rating) pair.rating = static_cast<float>(*row.rating);
    if (time.is_known()) units.add(time, row.origin, row.time_is_date);
    pairs_.add(pair);
    ++work_.rows;
    work_.timed_rows += row.time ? 1 : 0;
    work_.rated_rows += row.rating ? 1 : 0;
  }

 private:
  void declare(IdMap& ids, std::string_view id, Origin origin) {
    if (!is_good_id(id)) return work_.log.add(Problem::kId, origin, quoted(id));
    const size_t before = ids.size(), old = (&ids == &work_.users ? work_.old_users : work_.old_items).size();
    if (ids.intern(id) >= old && ids.size() == before) {
      work_.log.add(Problem::kDuplicate, origin, "id " + quoted(id) + " is listed again");
      work_.log.add_hint("several texts of one: a file texts.* of the columns " +
                         std::string(&ids == &work_.users ? "user" : "item") + ", kind and text");
    }
    check_memory();
  }
  std::optional<uint32_t> number(IdMap& ids, std::string_view id, bool declared, Origin origin, const char* what) {
    if (declared) {
      const auto known = ids.find(id);
      if (known) return known;
      (&ids == &work_.users ? unknown_users : unknown_items).add(id);
      work_.log.add(Problem::kUnknownId, origin,
                    std::string(what) + " " + quoted(id) + " is not in the " + what + "s file");
      return std::nullopt;
    }
    if (!is_good_id(id)) {
      work_.log.add(Problem::kId, origin, std::string(what) + " " + quoted(id));
      return std::nullopt;
    }
    check_memory();
    return ids.intern(id);
  }
  void check_memory() {
    constexpr uint64_t kEvery = 4096;  // calls
    if (++calls_ % kEvery != 0) return;
    const uint64_t used = work_.users.memory_bytes() + work_.items.memory_bytes();
    if (used > work_.options.memory_bytes / kMapShare) {
      throw DataError("the ids of " + std::to_string(work_.users.size()) + " users and " +
                      std::to_string(work_.items.size()) +
                      " items need more than a third of the memory limit; allow at least " +
                      std::to_string((used * 6) >> 20) + " MiB");
    }
  }

  IngestFolder& work_;
  PairSorter& pairs_;
  ListedIds listed_users_, listed_items_;
  uint64_t calls_ = 0;
};

Part parse_part(std::string_view text, const TableReader& rows, const ProblemLog& log) {
  const std::string part = part_called(std::string(text));
  if (part == "train") return Part::kTrain;
  if (part == "validation") return Part::kValidation;
  if (part == "test") return Part::kTest;
  throw DataError(log.where(rows.origin()) + ": part " + quoted(text) + " of the split; expected train, val or test");
}

/// A pair of the split file that no interaction has: a bad row, unless the rating threshold may have removed the
/// interaction.
void no_interaction(IngestFolder& work, Origin origin, const std::string& detail) {
  if (work.options.rating_threshold) {
    ++work.report.split_rows_unused;
  } else {
    work.log.add(Problem::kSplitOnly, origin, detail);
  }
}

/// Ids that are another's but for their form: what to do where they are too many, and a note where they are few.
void tell_of_lookalikes(IngestFolder& work, const Lookalikes& users, const Lookalikes& items, const std::string& of) {
  const auto tell = [&](const Lookalikes& unknown, const std::string& what, const IdMap& known) {
    const std::string found = unknown.describe(what, known, known.size());
    if (found.empty()) return;
    work.log.add_hint(found);
    work.log.note(found);
  };
  tell(users, "users" + of, work.users);
  tell(items, "items" + of, work.items);
}

/// Programs write an id now as 1, now as 1.0, and spreadsheets 123456789012345678 as 1.23E+17.
void tell_of_twins(IngestFolder& work) {
  for (const std::string& found : {describe_twins("users", work.users), describe_twins("items", work.items),
                                   describe_rounded("users", work.users), describe_rounded("items", work.items)}) {
    if (!found.empty()) work.log.note(found);
  }
}

/// An extension's new ids may be old ones in another form.
void tell_of_new_lookalikes(IngestFolder& work) {
  const auto tell = [&](const IdMap& ids, size_t old, const std::string& what) {
    Lookalikes fresh;
    for (size_t n = old; n < ids.size(); ++n) fresh.add(ids.name(static_cast<uint32_t>(n)));
    const std::string found = fresh.describe(what, ids, old);
    if (!found.empty()) work.log.note(found);
  };
  tell(work.users, work.old_users.size(), "new users");
  tell(work.items, work.old_items.size(), "new items");
}

void read_split_file(IngestFolder& work, PairSorter& split) {
  Lookalikes unknown_users, unknown_items;
  Intake intake{work.log, {}, work.options.source.reading, work.options.source.columns};
  TableReader rows(work.options.split_file, {{column(Role::kUser), column(Role::kItem), column(Role::kPart)}}, intake);
  while (rows.next()) {
    Pair pair;
    const auto user = work.users.find(rows.field(0)), item = work.items.find(rows.field(1));
    pair.part = static_cast<uint64_t>(parse_part(rows.field(2), rows, work.log)) & 3;
    if (!user || !item) {
      if (!user) unknown_users.add(rows.field(0));
      if (!item) unknown_items.add(rows.field(1));
      no_interaction(work, rows.origin(),
                     "no interaction of user " + quoted(rows.field(0)) + " and item " + quoted(rows.field(1)));
      continue;
    }
    pair.user = *user;
    pair.item = *item;
    pair.line = rows.origin().line & 0xFFFFFFFFFFF;
    pair.file = rows.origin().file;
    split.add(pair);
  }
  tell_of_lookalikes(work, unknown_users, unknown_items, " of the split file");
}

/// Gives every pair the part of the split file; pairs that are in only one of the two are bad rows. Those of the corpus
/// that is extended keep theirs, if they are not listed or are trained on.
void join(DistinctPairs& pairs, DistinctPairs& split, IngestFolder& work, RecordFile<Pair>& out) {
  const auto before = [](const Pair& a, const Pair& b) {
    return std::pair(a.user, a.item) < std::pair(b.user, b.item);
  };
  const auto split_only = [&](const Pair& s) {
    no_interaction(work, s.origin(), "no interaction of " + pair_names(work, s));
  };
  Pair pair, part;
  bool has_part = split.next(part);
  while (pairs.next(pair)) {
    for (; has_part && before(part, pair); has_part = split.next(part)) split_only(part);
    const bool listed = has_part && same_pair(part, pair);
    if (!listed && !pair.known) {
      work.log.add(Problem::kNotInSplit, pair.origin(), pair_names(work, pair));
      continue;
    }
    if (listed && !pair.trained) pair.part = part.part & 3;
    out.add(pair);
    if (listed) has_part = split.next(part);
  }
  for (; has_part; has_part = split.next(part)) split_only(part);
}

/// What is new would come before all that the corpus has. `new_` rows: with a time, and all.
void tell_of_missing_times(const IngestFolder& work, uint64_t new_timed_rows, uint64_t new_rows, ProblemLog& log) {
  if (work.before == nullptr || !work.before->corpus.has_times() || new_timed_rows > 0 || new_rows == 0) return;
  const std::string what =
      "the corpus that is extended has times, the new interactions have none: they come first in "
      "their histories";
  if (needs_times(work.options.split)) throw DataError(what + "; add a column 'time', or split by random");
  log.note(what);
}

}  // namespace

RecordFile<Pair> collect_interactions(Source& source, IngestFolder& work) {
  const PrepareOptions& options = work.options;
  PairSorter sorter(work.folder, options.memory_bytes / kSortShare);
  Collector collector(work, sorter);
  if (work.before != nullptr) {
    for_each_old_pair(work, [&](const Pair& pair) {
      if (pair.time != 0) collector.units.add_old(pair.time);
      sorter.add(pair);
    });
  }
  const uint64_t old_timed_rows = work.timed_rows, old_rows = work.rows;
  uint64_t total = 0;
  for (const auto& file : source.interaction_files()) total += input_bytes(file);
  uint64_t done = 0;
  Intake intake{work.log,
                [&](uint64_t bytes) {
                  done += bytes;
                  if (options.progress) options.progress("reading interactions", done, total);
                },
                options.source.reading, options.source.columns, needs_times(options.split)};
  source.read_interactions(collector, intake);
  tell_of_lookalikes(work, collector.unknown_users, collector.unknown_items, " that are not listed");
  work.before != nullptr ? tell_of_new_lookalikes(work) : tell_of_twins(work);
  RecordFile<Pair> distinct(work.folder);
  DistinctPairs pairs(sorter, work,
                      options.merge_duplicates || source.is_event_log() ? &work.report.duplicates_merged : nullptr);
  if (options.split == SplitMethod::kFile) {
    PairSorter split_sorter(work.folder, options.memory_bytes / kSortShare);
    read_split_file(work, split_sorter);
    DistinctPairs split(split_sorter, work, nullptr, /*of_split_file=*/true);
    join(pairs, split, work, distinct);
  } else {
    Pair pair;
    while (pairs.next(pair)) distinct.add(pair);
  }
  pairs.tell_of_copies();
  work.log.check(options.error_limit);
  tell_of_missing_times(work, work.timed_rows - old_timed_rows, work.rows - old_rows, work.log);
  collector.units.check(options.error_limit, work.log);
  return distinct;
}

}  // namespace cllm
