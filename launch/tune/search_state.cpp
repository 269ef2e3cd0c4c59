#include "launch/tune/search_state.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "data/errors.h"

namespace cllm {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const TrialRecord& record) {
  Json values = Json::object();
  for (const auto& [key, value] : record.values) values[key] = value;
  Json out{{"trial", record.trial}, {"rung", record.rung}};
  if (record.score) out["score"] = *record.score;
  if (!record.failure.empty()) out["failure"] = record.failure;
  out.update(Json{{"epochs", record.epochs},
                  {"best_epoch", record.best_epoch},
                  {"epochs_of_program", record.epochs_of_program},
                  {"ended", record.ended},
                  {"seconds", record.seconds},
                  {"values", values}});
  return out;
}

TrialRecord trial_of(const Json& json) {
  TrialRecord out{.trial = json.at("trial"),
                  .rung = json.at("rung"),
                  .failure = json.value("failure", ""),
                  .epochs = json.at("epochs"),
                  .best_epoch = json.at("best_epoch"),
                  .epochs_of_program = json.at("epochs_of_program"),
                  .ended = json.at("ended"),
                  .seconds = json.at("seconds")};
  if (json.contains("score")) out.score = json.at("score").get<double>();
  for (const auto& [key, value] : json.at("values").items()) out.values.emplace_back(key, value.get<std::string>());
  return out;
}

Json json_of(const SeedRecord& record) {
  return {{"seed", record.seed},
          {"trial", record.trial},
          {"score", record.score},
          {"seconds", record.seconds},
          {"test", record.test}};
}

SeedRecord seed_of(const Json& json) {
  return {.seed = json.at("seed"),
          .trial = json.at("trial"),
          .score = json.at("score"),
          .seconds = json.at("seconds"),
          .test = json.at("test").get<std::map<std::string, double>>()};
}

void add(SearchState& state, const Json& line) {
  if (line.contains("search")) {
    state.search = line.at("search").dump();
  } else if (line.contains("stopped_s")) {
    state.stopped_s += line.at("stopped_s").get<double>();
  } else if (line.contains("seed")) {
    state.seeds.push_back(seed_of(line));
  } else {
    state.trials.push_back(trial_of(line));
  }
}

}  // namespace

std::vector<RungScore> SearchState::scores() const {
  std::vector<RungScore> out;
  out.reserve(trials.size());
  for (const TrialRecord& record : trials) out.push_back({record.trial, record.rung, record.score});
  return out;
}

const TrialRecord* SearchState::last_of(int64_t trial) const {
  const TrialRecord* out = nullptr;
  for (const TrialRecord& record : trials) {
    if (record.trial == trial) out = &record;
  }
  return out;
}

const TrialRecord* SearchState::best() const {
  const TrialRecord* out = nullptr;
  for (const TrialRecord& record : trials) {
    const TrialRecord* const last = last_of(record.trial);
    if (!last->score) continue;
    const bool better =
        out == nullptr || *last->score > *out->score || (*last->score == *out->score && last->trial < out->trial);
    if (better) out = last;
  }
  return out;
}

double SearchState::seconds() const {
  double sum = stopped_s;
  for (const TrialRecord& record : trials) sum += record.seconds;
  return sum;
}

std::string to_jsonl(const SearchState& state) {
  std::string out = Json{{"search", Json::parse(state.search)}}.dump() + "\n";
  for (const TrialRecord& record : state.trials) out += json_of(record).dump() + "\n";
  if (state.stopped_s > 0) out += Json{{"stopped_s", state.stopped_s}}.dump() + "\n";
  for (const SeedRecord& record : state.seeds) out += json_of(record).dump() + "\n";
  return out;
}

SearchState parse_search(const std::string& text, const std::string& path) {
  SearchState out;
  std::istringstream lines(text);
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    try {
      add(out, Json::parse(line));
    } catch (const nlohmann::json::exception&) {
      throw DataError(path + ":" + std::to_string(number) +
                      ": no line of a search: restore the file, choose another run.dir, or start over with --fresh");
    }
  }
  return out;
}

}  // namespace cllm
