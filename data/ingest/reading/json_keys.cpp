#include "data/ingest/reading/json_keys.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "data/errors.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

/// A key of the sample.
struct Seen {
  std::string key;
  const std::vector<std::string>* values;
  bool has_value, claimed = false;
};

/// Its place among the names, their number if it is none of them.
size_t rank_of(const std::string& key, const Column& column) {
  return static_cast<size_t>(std::ranges::find(column.names, folded(key)) - column.names.begin());
}

constexpr std::string_view kSomeText = "some text";

bool is_name_of(const std::string& key, const Column& column) { return rank_of(key, column) < column.names.size(); }

Seen* best_key(std::vector<Seen>& keys, const Column& column) {
  Seen* best = nullptr;
  for (Seen& key : keys) {
    const auto order = [&](const Seen& one) { return std::tuple(!one.has_value, rank_of(one.key, column)); };
    if (key.claimed || !is_name_of(key.key, column)) continue;
    if (best == nullptr || order(key) < order(*best)) best = &key;
  }
  return best;
}

}  // namespace

Placement JsonKeys::understand(const std::vector<SampledColumn>& sample, TableSpec& spec, const ColumnChoices& choices,
                               const std::string& where) {
  std::vector<Seen> keys;
  keys.reserve(sample.size());
  for (const SampledColumn& column : sample) keys.push_back({column.name, &column.values, !all_empty(column.values)});
  Placement placement;
  placement.has_header = true;
  std::vector<std::string> missing;
  for (size_t column = 0; column < spec.columns.size(); ++column) {
    Column& wanted = spec.columns[column];
    const auto choice = choices.find(wanted.what);
    if (choice != choices.end() && choice->second == kNoColumn) {
      wanted.names.clear();
      placement.places.emplace_back();
      continue;
    }
    if (choice != choices.end()) {
      if (spec.by_values) wanted.names.clear();
      wanted.names.insert(wanted.names.begin(), folded(choice->second));
    }
    placement.places.emplace_back();
    if (Seen* const best = best_key(keys, wanted)) {
      best->claimed = true;
      placement.places.back() = column;
      keys_[best->key] = {column};
      continue;
    }
    const bool chosen = choice != choices.end() && spec.by_values;
    if (wanted.required || chosen) missing.push_back(chosen ? choice->second : wanted.what);
  }
  if (!missing.empty() && !keys.empty()) {
    std::vector<std::string> there;
    std::ranges::transform(keys, std::back_inserter(there), &Seen::key);
    throw DataError(where + ":1: no '" + missing[0] + "' in the object, objects " +
                    missing_column(missing, there, choices));
  }
  for (const Seen& key : keys) {
    if (key.claimed) continue;
    const bool second = std::ranges::any_of(spec.columns, [&](const Column& c) { return is_name_of(key.key, c); });
    if (spec.others && !second && holds_texts(key.key, {key.values->begin(), key.values->end()})) {
      keys_[key.key] = {spec.columns.size() + placement.others.size()};
      placement.others.push_back({key.key, 0});
    } else if (!key.has_value && !second && spec.others) {
      late_.push_back({key.key, 0, true});  // its values are those of a key that was not seen so far
    } else {
      Key& unused = keys_[key.key] = {};
      if (spec.others && !second && holds_texts(key.key, {kSomeText})) {
        unused.late = late_.size();
        late_.push_back({key.key});
      }
      placement.unused.push_back(key.key);
    }
  }
  return placement;
}

JsonKeys::Key* JsonKeys::find(const std::string& name) {
  const auto at = keys_.find(name);
  return at == keys_.end() ? nullptr : &at->second;
}

JsonKeys::Key* JsonKeys::add(const std::string& name, std::string_view value, uint64_t line, const TableSpec& spec,
                             Placement& placement) {
  constexpr size_t kMostKeys = 10000;
  if (keys_.size() >= kMostKeys) return nullptr;
  Key key{kNowhere, line};
  for (size_t n = 0; n < spec.columns.size() && key.place == kNowhere; ++n) {
    if (!placement.places[n] && is_name_of(name, spec.columns[n])) key.place = n;
  }
  const bool second = std::ranges::any_of(spec.columns, [&](const Column& c) { return is_name_of(name, c); });
  if (key.place != kNowhere) {
    placement.places[key.place] = key.place;
  } else if (spec.others && !second && holds_texts(name, {value})) {
    key.place = spec.columns.size() + placement.others.size();
    key.late = static_cast<size_t>(std::ranges::find(late_, name, &LateColumn::name) - late_.begin());
    placement.others.push_back({name, 0});
    if (key.late == late_.size()) late_.push_back({name, 0, true});
  }
  return &(keys_[name] = key);
}

void JsonKeys::watch(Key& key, std::string_view value, uint64_t line) {
  if (key.late != kNowhere) late_[key.late].see(value, reads_as_text(value), line);
}

std::string JsonKeys::name_of(size_t place) const {
  const auto at = std::ranges::find_if(keys_, [&](const auto& entry) { return entry.second.place == place; });
  return at == keys_.end() ? "" : at->first;
}

std::string JsonKeys::late_keys() const {
  std::vector<std::pair<uint64_t, std::string>> late;
  for (const auto& [name, key] : keys_) {
    if (key.rows_without_use == 0) continue;
    late.emplace_back(key.first_line, cllm::quoted(name) + " (first in line " + std::to_string(key.first_line) + ", " +
                                          std::to_string(key.rows_without_use) + " rows)");
  }
  std::ranges::sort(late);
  constexpr size_t kMost = 5;
  std::string out;
  for (size_t n = 0; n < std::min(late.size(), kMost); ++n) out += (n > 0 ? ", " : "") + late[n].second;
  return late.size() > kMost ? out + " and " + std::to_string(late.size() - kMost) + " more" : out;
}

}  // namespace cllm
