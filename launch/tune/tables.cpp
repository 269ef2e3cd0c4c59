// The tables that a search leaves for people.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

#include "launch/tune/search_state.h"

namespace cllm {
namespace {

std::string format(const char* form, double value) {
  char text[32];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

std::vector<std::string> keys_of(const SearchState& state) {
  std::set<std::string> keys;
  for (const TrialRecord& record : state.trials) {
    for (const auto& [key, value] : record.values) keys.insert(key);
  }
  return {keys.begin(), keys.end()};
}

/// The last records, by trial.
std::vector<const TrialRecord*> rows_of(const SearchState& state) {
  std::set<int64_t> trials;
  for (const TrialRecord& record : state.trials) trials.insert(record.trial);
  std::vector<const TrialRecord*> out;
  out.reserve(trials.size());
  for (const int64_t trial : trials) out.push_back(state.last_of(trial));
  return out;
}

double seconds_of(const SearchState& state, int64_t trial) {
  double sum = 0;
  for (const TrialRecord& record : state.trials) sum += record.trial == trial ? record.seconds : 0;
  return sum;
}

const std::vector<std::string> kColumns{"trial", "score", "rung", "epochs", "best epoch", "ended", "seconds"};

std::vector<std::string> cells(const SearchState& state, const TrialRecord& record,
                               const std::vector<std::string>& keys) {
  std::vector<std::string> out{std::to_string(record.trial),
                               record.score ? format("%.6f", *record.score) : "failed: " + record.failure,
                               std::to_string(record.rung),
                               std::to_string(record.epochs),
                               std::to_string(record.best_epoch),
                               record.ended ? "yes" : "no",
                               format("%.1f", seconds_of(state, record.trial))};
  for (const std::string& key : keys) {
    const auto found = std::ranges::find(record.values, key, &std::pair<std::string, std::string>::first);
    out.push_back(found == record.values.end() ? "-" : found->second);
  }
  return out;
}

std::string joined(const std::vector<std::string>& texts, const std::string& between) {
  std::string out;
  for (size_t n = 0; n < texts.size(); ++n) out += (n > 0 ? between : "") + texts[n];
  return out;
}

std::string markdown_row(const std::vector<std::string>& texts) { return "| " + joined(texts, " | ") + " |\n"; }

}  // namespace

std::string trials_tsv(const SearchState& state) {
  const std::vector<std::string> keys = keys_of(state);
  std::vector<std::string> head = kColumns;
  head.insert(head.end(), keys.begin(), keys.end());
  std::string out = joined(head, "\t") + "\n";
  for (const TrialRecord* const record : rows_of(state)) out += joined(cells(state, *record, keys), "\t") + "\n";
  return out;
}

std::string trials_markdown(const SearchState& state, size_t most) {
  const std::vector<std::string> keys = keys_of(state);
  std::vector<const TrialRecord*> rows = rows_of(state);
  std::ranges::stable_sort(rows, [](const TrialRecord* a, const TrialRecord* b) {
    return a->score.value_or(-INFINITY) > b->score.value_or(-INFINITY);
  });
  if (rows.size() > most) rows.resize(most);
  std::vector<std::string> head = kColumns;
  head.insert(head.end(), keys.begin(), keys.end());
  std::string out = markdown_row(head) + markdown_row(std::vector<std::string>(head.size(), "---"));
  for (const TrialRecord* const record : rows) out += markdown_row(cells(state, *record, keys));
  return out;
}

std::string seeds_markdown(const SearchState& state) {
  if (state.seeds.empty()) return "";
  std::map<std::string, std::vector<double>> values;
  for (const SeedRecord& record : state.seeds) {
    values["validation score"].push_back(record.score);
    for (const auto& [metric, value] : record.test) values["test " + metric].push_back(value);
  }
  std::string out =
      markdown_row({"trial " + std::to_string(state.seeds[0].trial) + ", other seeds", "mean", "deviation", "seeds"}) +
      markdown_row({"---", "---", "---", "---"});
  for (const auto& [metric, of_seeds] : values) {
    const auto n = static_cast<double>(of_seeds.size());
    double mean = 0, squares = 0;
    for (const double value : of_seeds) mean += value / n;
    for (const double value : of_seeds) squares += (value - mean) * (value - mean);
    out += markdown_row({metric, format("%.4f", mean), n > 1 ? format("%.4f", std::sqrt(squares / (n - 1))) : "-",
                         std::to_string(of_seeds.size())});
  }
  return out;
}

}  // namespace cllm
