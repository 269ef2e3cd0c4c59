#include "launch/commands/asked_users.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "data/ingest/files/input_files.h"
#include "data/ingest/source.h"
#include "data/ingest/storage/id_map.h"
#include "data/ingest/times/time_units.h"
#include "data/ingest/values/lookalikes.h"
#include "data/ingest/values/parse.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

constexpr double kErrorLimit = 0.01;  // as of prepare

struct Row {
  uint32_t user;
  int32_t item;
  Moment time;
  uint64_t file, line;

  auto when() const { return std::tuple(user, time.time, time.fraction, file, line); }
};

std::string behind(const std::string& sentence) { return sentence.empty() ? "" : "; " + sentence; }

std::optional<double> rating_threshold_of(const Corpus& corpus) {
  const auto threshold = nlohmann::json::parse(corpus.manifest()).at("options").at("rating_threshold");
  return threshold.is_number() ? std::optional(threshold.get<double>()) : std::nullopt;
}

std::string shortest(double value) { return nlohmann::json(value).dump(); }

/// Rows whose item the corpus has, by numbers.
class HistoryCollector : public RowSink {
 public:
  HistoryCollector(const Corpus& corpus, ProblemLog& log, bool strict)
      : corpus_(corpus), log_(log), strict_(strict), least_(rating_threshold_of(corpus)) {}

  void interaction(const InteractionRow& row) override {
    if (row.user.empty() || row.user.size() > IdMap::kMaxLength)
      return log_.add(Problem::kId, row.origin, "user " + quoted(row.user));
    if (least_ && row.rating && *row.rating < *least_) {
      ++below_threshold_;
      return;
    }
    const uint32_t user = users.intern(row.user);
    const Moment time = row.time.value_or(Moment::unknown());
    ++(time.is_known() ? timed_ : untimed_);
    if (time.is_known()) units.add(time, row.origin, row.time_is_date);
    const auto item = corpus_.find_item(row.item);
    if (item) {
      rows.push_back({user, static_cast<int32_t>(*item), time, row.origin.file, row.origin.line});
      return;
    }
    const std::string where = log_.where(row.origin) + ": item " + quoted(row.item);
    if (strict_) throw ConfigError(where + " is not in the corpus; remove the row, or leave --strict away");
    lookalikes_.add(row.item);
    if (unknown++ == 0) first_unknown = where;
  }
  /// The first, and whether some look like items of the corpus.
  std::string describe_unknown() const {
    return first_unknown +
           behind(lookalikes_.describe("items", static_cast<size_t>(corpus_.vocabulary().num_items),
                                       [&](size_t n) { return corpus_.item_raw_id(static_cast<int64_t>(n)); }));
  }

  /// Of rows that the corpus would not have: "" or a line.
  std::string describe_threshold() const {
    if (below_threshold_ == 0) return "";
    return std::to_string(below_threshold_) + " rows are rated below the corpus' threshold of " + shortest(*least_) +
           " and left out, as prepare left out its own";
  }

  /// Of rows without a time among others: "" or a line.
  std::string describe_untimed() const {
    if (timed_ == 0 || untimed_ == 0) return "";
    return std::to_string(untimed_) + " rows without a time come first in their histories";
  }

  IdMap users;
  TimeUnits units;
  std::vector<Row> rows;
  int64_t unknown = 0;
  std::string first_unknown;

 private:
  const Corpus& corpus_;
  ProblemLog& log_;
  bool strict_;
  std::optional<double> least_;
  int64_t below_threshold_ = 0, timed_ = 0, untimed_ = 0;
  Lookalikes lookalikes_;
};

std::vector<std::string> notes_of(const ProblemLog& log) {
  std::vector<std::string> out = log.notes();
  for (size_t n = 0; n < kNumProblems; ++n) {
    const auto& tally = log.tally(static_cast<Problem>(n));
    if (tally.count == 0) continue;
    out.push_back(std::to_string(tally.count) + " bad rows left out, " +
                  std::string(ProblemLog::name(static_cast<Problem>(n))) +
                  (tally.examples.empty() ? "" : ": " + tally.examples[0]));
  }
  return out;
}

/// Ids of the corpus by their lines in a file.
struct Listed {
  std::vector<int64_t> ids;
  int64_t unknown = 0;
  std::string first_unknown;
};

/// `option` and `what`: as a person calls the file and a line of it; `known`: the raw ids of the corpus.
Listed read_ids(const std::string& option, const std::string& what, const std::string& path, bool strict,
                const std::function<std::optional<int64_t>(const std::string&)>& find, int64_t num_known,
                const std::function<std::string_view(size_t)>& known) {
  std::ifstream in(path);
  if (!in || std::filesystem::is_directory(path)) {
    throw ConfigError(option + " " + path + ": cannot be read; name a file with one raw " + what + " id per line" +
                      (what == "user" ? ", or 'all'" : ""));
  }
  Listed out;
  Lookalikes lookalikes;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    line = std::string(trimmed(line));  // as prepare reads ids
    if (line.empty()) continue;
    if (const auto id = find(line)) {
      out.ids.push_back(*id);
      continue;
    }
    const std::string where = path + ":" + std::to_string(number) + ": " + (what + " ") + cllm::quoted(line);
    if (strict) throw ConfigError(where + " is not in the corpus; remove the line, or leave --strict away");
    lookalikes.add(line);
    if (out.unknown++ == 0) out.first_unknown = where;
  }
  const std::string alike = lookalikes.describe(what + "s", static_cast<size_t>(num_known), known);
  if (out.ids.empty() && out.unknown > 0) {
    throw ConfigError(out.first_unknown + " and all others are not in the corpus: " + std::to_string(out.unknown) +
                      " unknown " + what + "s; " + option + " wants raw ids, as the input of prepare has them" +
                      behind(alike));
  }
  if (out.ids.empty()) {
    throw ConfigError(option + " " + path + ": it names no " + what + ", and " +
                      (what == "user" ? "there would be no lists" : "lists would be empty") + "; one raw " + what +
                      " id per line");
  }
  if (out.unknown > 0) out.first_unknown += behind(alike);
  return out;
}

}  // namespace

AskedUsers read_users(const std::string& path, const Corpus& corpus, bool strict) {
  const Listed found = read_ids(
      "--users", "user", path, strict, [&](const std::string& id) { return corpus.find_user(id); },
      corpus.vocabulary().num_users, [&](size_t n) { return corpus.user_raw_id(static_cast<int64_t>(n)); });
  return {found.ids, found.unknown, found.first_unknown};
}

KeptItems keep_items(const std::string& path, const Corpus& corpus, bool strict) {
  std::vector<bool> kept(static_cast<size_t>(corpus.vocabulary().num_items), false);
  const auto find = [&](const std::string& id) { return corpus.find_item(id); };
  const auto known = [&](size_t n) { return corpus.item_raw_id(static_cast<int64_t>(n)); };
  const Listed listed = read_ids("--only-items", "item", path, strict, find, corpus.vocabulary().num_items, known);
  for (const int64_t item : listed.ids) kept[static_cast<size_t>(item)] = true;
  KeptItems out{{}, listed.unknown, listed.first_unknown};
  for (size_t item = 0; item < kept.size(); ++item) {
    if (!kept[item]) out.left_out.push_back(static_cast<int32_t>(item));
  }
  return out;
}

std::vector<int64_t> users_in_input_order(const Corpus& corpus) {
  std::vector<int64_t> users;
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) users.push_back(user);
  std::ranges::sort(users, {}, [&](int64_t user) { return corpus.user_input_order(user); });
  return users;
}

AskedHistories read_histories(const std::string& path, const Corpus& corpus, const SourceOptions& asked, bool strict) {
  SourceOptions options = asked;
  options.columns.erase("text");  // that of --add-items
  if (!input_exists(path))
    throw ConfigError("--histories " + path + ": no such file; name a table with the columns user and item");
  const std::unique_ptr<Source> source = open_source(path, options);
  ProblemLog log;
  HistoryCollector collected(corpus, log, strict);
  Intake intake{log, [](uint64_t) {}, options.reading, options.columns};
  source->read_interactions(collected, intake);
  log.check(kErrorLimit, "mend --histories");
  collected.units.check(kErrorLimit, log);
  std::ranges::sort(collected.rows, {}, &Row::when);

  AskedHistories out;
  out.unknown_items = collected.unknown;
  if (out.unknown_items > 0) out.first_unknown = collected.describe_unknown();
  out.notes = notes_of(log);
  for (const std::string& line : {collected.describe_threshold(), collected.describe_untimed()}) {
    if (!line.empty()) out.notes.push_back(line);
  }
  auto next = collected.rows.begin();
  for (uint32_t user = 0; user < collected.users.size(); ++user) {
    RankingQuery query;
    std::unordered_set<int32_t> seen;
    for (; next != collected.rows.end() && next->user == user; ++next) {
      if (seen.insert(next->item).second) query.history.push_back(next->item);
    }
    if (query.history.empty()) {
      ++out.users_left_out;
      continue;
    }
    query.masked = query.history;
    std::ranges::sort(query.masked);
    out.keys.emplace_back(collected.users.name(user));
    out.queries.push_back(std::move(query));
  }
  if (out.queries.empty()) {
    throw ConfigError("--histories " + path + ": no row has an item of the corpus" +
                      (out.first_unknown.empty() ? "" : " (" + out.first_unknown + ")") +
                      "; items are named by raw ids, as the input of prepare has them");
  }
  return out;
}

}  // namespace cllm
