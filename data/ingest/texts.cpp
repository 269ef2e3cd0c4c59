#include "data/ingest/texts.h"

#include <algorithm>

#include "data/errors.h"
#include "data/ingest/reading/parse.h"

namespace cllm {
namespace {

constexpr size_t kBytesPerToken = 64;  // no more of a text than max_text_tokens of this length is looked at

class TextCollector : public RowSink {
 public:
  TextCollector(const InternalIds& ids, std::span<const PackedPair> held_out, IngestFolder& work,
                std::vector<std::string>& kinds, TextSpool& spool)
      : ids_(ids), held_out_(held_out), work_(work), kinds_(kinds), spool_(spool) {}

  void text(const TextRow& row) override {
    const std::string_view text = trimmed(row.text);
    const auto user = internal_id(row.user, work_.users, ids_.users, work_.users_declared, row.origin);
    const auto item = internal_id(row.item, work_.items, ids_.items, work_.items_declared, row.origin);
    if (text.empty() || !user || !item || (*user < 0 && *item < 0)) {
      ++work_.report.unused_texts;
    } else if (is_held_out(*user, *item)) {
      ++work_.report.held_out_texts;
    } else {
      spool_.add({*user, *item, kind(row.kind), std::string(cut(text))});
    }
  }

 private:
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
};

}  // namespace

void collect_texts(Source& source, const InternalIds& ids, RecordFile<PackedPair>& held_out, IngestFolder& work,
                   std::vector<std::string>& kinds, TextSpool& spool) {
  const MappedFile mapped = held_out.map();
  const std::span pairs(reinterpret_cast<const PackedPair*>(mapped.bytes().data()),
                        mapped.bytes().size() / sizeof(PackedPair));
  TextCollector collector(ids, pairs, work, kinds, spool);
  uint64_t total = 0, done = 0;
  for (const auto& file : source.text_files()) total += std::filesystem::file_size(file);
  Intake intake{work.log, [&](uint64_t bytes) {
                  done += bytes;
                  if (work.options.progress) work.options.progress("reading texts", done, total);
                }};
  source.read_texts(collector, intake);
  work.log.check(work.options.error_limit);
}

}  // namespace cllm
