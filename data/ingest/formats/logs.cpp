// Logs of listening, watching and clicking: lastfm-1K, KuaiRec, KuaiRand, MIND.

#include <xxhash.h>
#include <unordered_set>

#include "data/errors.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/formats/tables.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// user, time, MusicBrainz id of the artist (or none), artist, id of the track, track. Items are artists, by their id
/// or, without one, by their name.
class LastFm1k : public Source {
 public:
  explicit LastFm1k(fs::path file) : file_(std::move(file)) {}

  void read_interactions(RowSink& sink, Intake& intake) override {
    TableReader rows(file_, table(), intake);
    while (rows.next()) {
      const auto time = parse_moment(rows.field(kTimeAt));
      if (!time) {
        rows.report(Problem::kNumber, "time " + quoted(rows.field(kTimeAt)) + " is no date");
        continue;
      }
      sink.interaction({rows.field(kUserAt), artist(rows), time, {}, rows.origin()});
    }
  }
  /// The name of an artist once: it stands in every row.
  void read_texts(RowSink& sink, Intake& intake) override {
    std::unordered_set<uint64_t> seen;
    TableReader rows(file_, table(), intake);
    while (rows.next()) {
      const std::string_view id = artist(rows);
      if (seen.insert(XXH3_64bits(id.data(), id.size())).second)
        sink.text({{}, id, "title", rows.field(kNameAt), rows.origin()});
    }
  }
  std::vector<fs::path> interaction_files() const override { return {file_}; }
  std::vector<fs::path> text_files() const override { return {file_}; }
  bool is_event_log() const override { return true; }

 private:
  enum : size_t { kUserAt, kTimeAt, kArtistAt, kNameAt };
  static TableSpec table() {
    TableSpec spec;
    for (const char* name : {"user", "time", "artist id", "artist", "track id", "track"})
      spec.columns.push_back(column_named(name, {}, spec.columns.size() <= kNameAt));
    return spec;
  }
  static std::string_view artist(const TableReader& rows) {
    const std::string_view id = trimmed(rows.field(kArtistAt));
    return id.empty() ? trimmed(rows.field(kNameAt)) : id;
  }

  fs::path file_;
};

/// impression, user, time, history (news ids, oldest first, without times), impressions (news id -1 clicked, -0 not).
class Mind : public Tables {
 public:
  fs::path behaviors;

  void read_interactions(RowSink& sink, Intake& intake) override {
    TableSpec spec;
    for (const char* name : {"impression", "user", "time", "history", "impressions"})
      spec.columns.push_back(column_named(name, {name, std::string(name) + "_id"}));
    TableReader rows(behaviors, spec, intake);
    uint32_t place = 0;  // of all histories, before all times
    bool any = false, any_clicks = false;
    while (rows.next()) {
      const auto time = parse_moment(rows.field(2));
      if (!time) {
        rows.report(Problem::kNumber, "time " + quoted(rows.field(2)) + " is no date");
        continue;
      }
      for_each_word(rows.field(3), [&](std::string_view news) {
        sink.interaction({rows.field(1), news, Moment::unknown(place++), {}, rows.origin()});
      });
      for_each_word(rows.field(4), [&](std::string_view shown) {
        any = true;
        any_clicks = any_clicks || shown.ends_with("-1") || shown.ends_with("-0");
        if (shown.ends_with("-1"))
          sink.interaction({rows.field(1), shown.substr(0, shown.size() - 2), time, {}, rows.origin()});
      });
    }
    if (!any || any_clicks) return;
    const std::string what = behaviors.string() + ": no impression says whether it was clicked (N1-1, N2-0): a part " +
                             "for tests, whose histories have no times";
    if (intake.needs_times) throw DataError(what + "; give the part for training");
    intake.log.note(what);
  }
  std::vector<fs::path> interaction_files() const override { return {behaviors}; }

 private:
  template <typename Use>
  static void for_each_word(std::string_view text, Use use) {
    while (!(text = trimmed(text)).empty()) {
      const std::string_view word = text.substr(0, text.find(' '));
      use(word);
      text.remove_prefix(word.size());
    }
  }
};

}  // namespace

std::unique_ptr<Source> open_lastfm_1k(const InputFolder& input, const SourceOptions&) {
  const fs::path file = file_named(input.files, "userid-timestamp-artid-artname-traid-traname.tsv");
  return file.empty() ? nullptr : std::make_unique<LastFm1k>(file);
}

std::unique_ptr<Source> open_kuairec(const InputFolder& input, const SourceOptions&) {
  const fs::path big = file_named(input.files, "big_matrix.csv"), small = file_named(input.files, "small_matrix.csv");
  if (big.empty() && small.empty()) return nullptr;
  auto source = std::make_unique<Tables>();
  source->event_log = true;  // a video watched again
  source->interactions.push_back({big.empty() ? small : big});
  if (!big.empty() && !small.empty())
    source->message =
        "small_matrix.csv is left out: it is the densely observed part, for tests; --input FILE reads it alone";
  const auto captions = file_named(input.files, "kuairec_caption_category.csv");
  if (!captions.empty()) source->texts.push_back({captions, {{}, column(Role::kItem), {}, true}});
  return source;
}

std::unique_ptr<Source> open_kuairand(const InputFolder& input, const SourceOptions&) {
  const auto logs = files_named(input.files, {".csv"}, [](std::string_view stem) { return stem.starts_with("log_"); });
  auto source = std::make_unique<Tables>();
  source->event_log = true;
  for (const fs::path& log : logs) {
    if (log.filename().string().starts_with("log_standard")) source->interactions.push_back({log});
  }
  if (source->interactions.empty()) return nullptr;
  if (logs.size() > source->interactions.size())
    source->message = "log_random*.csv is left out: videos that were shown at random; --input FILE reads it alone";
  return source;
}

std::unique_ptr<Source> open_mind(const InputFolder& input, const SourceOptions&) {
  auto source = std::make_unique<Mind>();
  source->behaviors = file_named(input.files, "behaviors.tsv");
  if (source->behaviors.empty()) return nullptr;
  source->event_log = true;  // histories repeat in every row
  source->message =
      "mind: interactions are the clicks and, before them without times, the histories; shown is not clicked";
  const auto news = file_named(input.files, "news.tsv");
  if (news.empty()) return source;
  TextTable table{{}, column_named("item", {}), {}, false};
  for (const char* kind : {"category", "subcategory", "title", "abstract", "", "", ""})
    table.texts.push_back(column_named(kind, {}, false));
  source->texts.push_back({news, table});
  return source;
}

}  // namespace cllm
