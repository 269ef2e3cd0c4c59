#include "data/ingest/texts.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "data/errors.h"
#include "data/ingest/extend.h"
#include "data/ingest/leak_audit.h"
#include "data/ingest/values/json_row.h"
#include "data/ingest/values/lookalikes.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

constexpr uint64_t kKnownShare = 8;    // of the memory, for hashes of texts
constexpr size_t kBytesPerToken = 64;  // no more of a text than max_text_tokens of this length is looked at

/// What became of the texts of one file.
struct Fate {
  uint64_t texts = 0, used = 0, unknown = 0, filtered = 0;  // used: those of held-out pairs, too
  std::string example;
  Lookalikes users, items;
};

/// A text of the corpus, and where it stands; to find those that come again.
struct Known {
  uint64_t hash, number;  // number: of the spool
  Origin origin;
  bool operator<(const Known& other) const { return std::tuple(hash, number) < std::tuple(other.hash, other.number); }
};

/// Without blanks around; nothing for a word that stands for nothing; the elements, joined, of a list as pandas writes
/// it: ['a', 'b']. Valid as long as `room`.
std::string_view as_text(std::string_view field, std::string& room) {
  const std::string_view text = trimmed(field);
  if (is_no_value(text)) return {};
  if (!text.starts_with('[') || !text.ends_with(']') || text.find('{') != std::string_view::npos) return text;
  const nlohmann::json list = parse_json_line(text);
  if (!list.is_array()) return text;
  room.clear();
  append_json_text(list, room);
  return is_utf8(room) ? trimmed(room) : text;
}

class TextCollector : public RowSink {
 public:
  TextCollector(const InternalIds& ids, std::span<const PackedPair> held_out, IngestFolder& work,
                std::vector<std::string>& kinds, TextSpool& spool)
      : ids_(ids), held_out_(held_out), work_(work), kinds_(kinds), spool_(spool),
        known_(work.folder, work.options.memory_bytes / kKnownShare), audit_(work, ids, held_out) {}

  void text(const TextRow& row) override {
    const std::string_view text = as_text(row.text, room_);
    const auto user = internal_id(row.user, work_.users, ids_.users, work_.users_declared, row.origin);
    const auto item = internal_id(row.item, work_.items, ids_.items, work_.items_declared, row.origin);
    if (!text.empty()) ++fates_[row.origin.file].texts;
    if (text.empty() || !user || !item || (*user < 0 && *item < 0)) {
      ++work_.report.unused_texts;
      if (!text.empty()) explain(row);
    } else if (holds_a_row(text)) {
      work_.log.add(Problem::kColumns, row.origin,
                    "the text holds whole rows of the table: is a quote never closed? " + quoted(text));
    } else if (is_held_out(*user, *item)) {
      audit_.held_out_text(text);
      ++work_.report.held_out_texts;
      ++fates_[row.origin.file].used;
    } else if (const TextEntry entry{*user, *item, kind(row.kind), std::string(cut(text))};
               std::binary_search(work_.old_texts.begin(), work_.old_texts.end(), hash_of(entry))) {
      ++work_.report.known_texts;
      ++fates_[row.origin.file].used;
    } else {
      known_.add({hash_of(entry), spool_.size(), row.origin});
      spool_.add(entry);
      ++fates_[row.origin.file].used;
    }
  }

  /// A text of one kind about the same user and item is there once: the first of them.
  void leave_out_repeats() {
    std::vector<bool> repeats(spool_.size());
    uint64_t count = 0;
    known_.finish();
    std::optional<Known> before, example;
    for (Known text{}; known_.next(text); before = text) {
      if (!before || before->hash != text.hash) continue;
      repeats[text.number] = true;
      ++count;
      if (!example || text.number < example->number) example = text;
    }
    if (count == 0) return;
    spool_.leave_out(std::move(repeats));
    work_.log.note(std::to_string(count) +
                   " texts left out that were there already, of the same kind, user and item: " +
                   work_.log.where(example->origin) + (count > 1 ? ", ..." : ""));
  }

  void audit() { work_.report.leaks = audit_.run(spool_, kinds_); }

  /// Notes on files of whose texts less than half joined the corpus.
  void tell() const {
    for (const auto& [file, fate] : fates_) {
      const std::string name = work_.log.files()[file].filename().string();
      tell_of_lookalikes(name, fate.users, "users", work_.users);
      tell_of_lookalikes(name, fate.items, "items", work_.items);
      if (fate.used * 2 >= fate.texts) continue;
      work_.log.note(name + ": " + std::to_string(fate.used) + " of " + std::to_string(fate.texts) +
                     " texts joined the corpus; " + std::to_string(fate.unknown) +
                     " are of users or items that no interaction has, " + std::to_string(fate.filtered) +
                     " of such as the filters removed; the first: " + fate.example);
    }
  }

 private:
  void tell_of_lookalikes(const std::string& file, const Lookalikes& unknown, const char* what,
                          const IdMap& known) const {
    const std::string found = unknown.describe(what, known, known.size());
    if (!found.empty()) work_.log.note(file + ": " + found);
  }
  void explain(const TextRow& row) {
    Fate& fate = fates_[row.origin.file];
    const auto unknown = [](std::string_view raw, const IdMap& map) { return !raw.empty() && !map.find(raw); };
    const bool user = unknown(row.user, work_.users), item = unknown(row.item, work_.items);
    ++(user || item ? fate.unknown : fate.filtered);
    if (user) fate.users.add(row.user);
    if (item) fate.items.add(row.item);
    if (!fate.example.empty()) return;
    const bool show_user = user || (!item && row.item.empty());
    fate.example =
        work_.log.where(row.origin) + ", " + (show_user ? "user " : "item ") + quoted(show_user ? row.user : row.item);
  }

  /// Does a line behind the first begin with a known user and a known item, as a row would? Then a quote that was never
  /// closed swallowed it, and perhaps it is held out.
  bool holds_a_row(std::string_view text) const {
    for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      text.remove_prefix(end + 1);
      const std::string_view line = text.substr(0, text.find('\n'));
      for (const char separator : {',', '\t', ';'}) {
        const size_t first = line.find(separator);
        if (first == std::string_view::npos) continue;
        const std::string_view rest = line.substr(first + 1);
        const size_t second = rest.find(separator);
        if (second == std::string_view::npos) continue;
        const std::string_view one = line.substr(0, first), two = rest.substr(0, second);
        if (work_.users.find(one) && work_.items.find(two)) return true;
      }
    }
    return false;
  }

  /// -1: none is named; nullopt: not in the corpus.
  std::optional<int32_t> internal_id(std::string_view raw, const IdMap& map, const std::vector<uint32_t>& internal,
                                     bool declared, Origin origin) {
    if (raw.empty()) return -1;
    const auto number = map.find(raw);
    if (!number && declared)
      work_.log.add(Problem::kUnknownId, origin, "text of " + quoted(raw) + ", which is not listed");
    if (!number || internal[*number] == kDropped) return std::nullopt;
    return static_cast<int32_t>(internal[*number]);
  }
  bool is_held_out(int32_t user, int32_t item) const {
    if (user < 0 || item < 0) return false;
    const auto contains = [&](Part part) {
      return std::binary_search(held_out_.begin(), held_out_.end(),
                                pack(static_cast<uint32_t>(user), part, static_cast<uint32_t>(item)));
    };
    return contains(Part::kValidation) || contains(Part::kTest);
  }
  int32_t kind(std::string_view name) {
    const auto at = std::find(kinds_.begin(), kinds_.end(), name);
    const auto number = static_cast<int32_t>(at - kinds_.begin());
    constexpr size_t kMaxKinds = 1000;
    if (at == kinds_.end() && kinds_.size() == kMaxKinds)
      throw DataError("more than 1000 kinds of texts; is the 'kind' column right?");
    if (at == kinds_.end()) kinds_.emplace_back(name);
    return number;
  }
  /// At a character's start.
  std::string_view cut(std::string_view text) const {
    size_t length = std::min(text.size(), static_cast<size_t>(work_.options.max_text_tokens) * kBytesPerToken);
    while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
    return text.substr(0, length);
  }

  const InternalIds& ids_;
  std::span<const PackedPair> held_out_;
  IngestFolder& work_;
  std::vector<std::string>& kinds_;
  TextSpool& spool_;
  ExternalSorter<Known> known_;
  std::string room_;
  std::map<uint64_t, Fate> fates_;  // by file
  LeakAudit audit_;
};

}  // namespace

void collect_texts(Source& source, const InternalIds& ids, RecordFile<PackedPair>& held_out, IngestFolder& work,
                   std::vector<std::string>& kinds, TextSpool& spool) {
  const MappedFile mapped = held_out.map();
  const std::span pairs(reinterpret_cast<const PackedPair*>(mapped.bytes().data()),
                        mapped.bytes().size() / sizeof(PackedPair));
  TextCollector collector(ids, pairs, work, kinds, spool);
  uint64_t total = 0, done = 0;
  for (const auto& file : source.text_files()) total += input_bytes(file);
  Intake intake{work.log,
                [&](uint64_t bytes) {
                  done += bytes;
                  if (work.options.progress) work.options.progress("reading texts", done, total);
                },
                work.options.source.reading, work.options.source.columns};
  source.read_texts(collector, intake);
  collector.tell();
  work.log.check(work.options.error_limit);
  collector.leave_out_repeats();
  collector.audit();
}

}  // namespace cllm
