#include "launch/tune/search.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "data/corpus/corpus.h"
#include "dist/watch/activity.h"
#include "launch/config/paths.h"
#include "launch/config/text.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "launch/output/append_file.h"
#include "launch/supervision/stop_signal.h"

namespace cllm {

namespace fs = std::filesystem;

Search::Search(std::unique_ptr<Communicator> world, Log& log, const SearchOptions& options, TrainRun train)
    : world_(std::move(world)), log_(log), train_(std::move(train)), file_(options.file),
      overrides_(options.overrides) {
  collectively(*world_, [&] { open(options); });
  read_state();
}

int Search::run() {
  const bool done = try_all() && run_seeds();
  tell();
  if (!done) return kInterruptedAfterSaving;
  collectively(*world_, [&] {
    if (world_->rank() == 0) present();
  });
  return kDone;
}

fs::path Search::trial_dir(int64_t trial) const {
  char name[16];
  std::snprintf(name, sizeof name, "%03lld", static_cast<long long>(trial));
  return dir() / "trials" / name;
}

void Search::open(const SearchOptions& options) {
  base_ = load_config(file_, overrides_);
  tune_ = load_tune(file_, overrides_, base_);
  make_paths_absolute(base_);
  limit_ = TimeLimit(options.max_seconds, options.stop_before);
  if (base_.run.corpus.empty())
    throw ConfigError("run.corpus is not set: name the folder that `cllm4rec prepare` wrote");
  if (Corpus::open(base_.run.corpus).num_interactions(Part::kValidation) == 0)
    throw ConfigError(base_.run.corpus +
                      " has no validation items, by which trials are chosen: prepare it with another --split");
  if (world_->rank() != 0) return;
  if (fs::exists(dir() / "checkpoints"))
    throw ConfigError("run.dir " + dir().string() + " holds a run: choose another one for the search");
  lock_.emplace(dir());
  if (!options.fresh) return;
  for (const char* name : {"trials", "seeds"}) fs::remove_all(dir() / name);
  fs::remove(state_file());
}

/// What makes two searches differ: the configuration and the space, not their lengths.
std::string Search::identity() const {
  nlohmann::ordered_json space = nlohmann::ordered_json::object();
  for (const SearchKey& key : tune_.space) {
    if (key.choices.empty())
      space[key.key] = {{"min", key.min}, {"max", key.max}, {"log", key.log}};
    else
      space[key.key] = key.choices;
  }
  return nlohmann::ordered_json{{"model", base_.model},       {"config", config_digest(base_)},
                                {"corpus", base_.run.corpus}, {"tune.factor", tune_.factor},
                                {"tune.rungs", tune_.rungs},  {"tune.seed", tune_.seed},
                                {"tune.space", space}}
      .dump();
}

void Search::read_state() {
  const std::string text =
      broadcast_string(*world_, world_->rank() == 0 ? read_whole_file(state_file().string()) : "", 0);
  collectively(*world_, [&] {
    state_ = parse_search(text, state_file().string());
    const std::string mine = identity();
    if (state_.search.empty()) state_.search = mine;
    if (state_.search == mine) return;
    const auto before = nlohmann::json::parse(state_.search), now = nlohmann::json::parse(mine);
    std::vector<std::string> changed;
    for (const auto& [key, value] : now.items()) {
      if (!before.contains(key) || before.at(key) != value) changed.push_back(key);
    }
    throw ConfigError("run.dir " + dir().string() + " holds another search (changed: " + join(changed, ", ") +
                      "): restore it, choose another run.dir, or start over with --fresh");
  });
  if (!state_.trials.empty())
    log_.info("the search goes on: " + std::to_string(state_.trials.size()) + " rungs are done, " +
              format_duration(state_.seconds()) + " are spent");
}

RunConfig Search::config_with(const DrawnValues& values, const fs::path& run_dir, int64_t seed) const {
  std::vector<std::string> overrides = overrides_;
  for (const auto& [key, value] : values) overrides.push_back(std::string("--").append(key).append("=").append(value));
  RunConfig config = load_config(file_, overrides);
  config.run.dir = run_dir.string();
  config.run.seed = seed;
  config.log.report = config.log.tensorboard = false;
  make_paths_absolute(config);
  return config;
}

double Search::minutes_left_s() const {
  return tune_.minutes > 0 ? tune_.minutes * 60 - state_.seconds() : std::numeric_limits<double>::infinity();
}

/// A signal to any rank counts, and rank 0's clock.
Search::Stop Search::must_stop(bool interrupted) {
  std::string mine = StopSignal::received() != 0 ? "leave" : "";
  if (mine.empty() && world_->rank() == 0) {
    const double all_s = limit_.left_s(), minutes_s = minutes_left_s();
    if (interrupted) {
      mine = all_s < minutes_s ? "leave" : "minutes";
    } else if (all_s <= 0 || minutes_s <= 0) {
      mine = all_s <= 0 ? "leave" : "minutes";
    }
  }
  const std::vector<std::string> all = all_gather_strings(*world_, mine);
  if (std::ranges::find(all, "leave") != all.end()) return Stop::kLeave;
  return all[0] == "minutes" ? Stop::kMinutesAreOver : Stop::kNo;
}

/// One rung; what was reached, or why nothing was. Rank 0's clock counts.
TrialRecord Search::train_trial(TrialRecord record, const RunConfig& config, bool& stopped) {
  const int64_t known = state_.trials.empty() ? 0 : state_.trials[0].epochs_of_program;
  const auto pause_after = [&](int64_t own) {
    const int64_t whole = known > 0 ? known : own;
    return epochs_at(record.rung, rungs_of(whole, tune_.factor, tune_.rungs), whole, tune_.factor);
  };
  const double begin_s = Activity::now_s();
  std::string failure;
  int code = kDone;
  try {
    const TrainOutcome outcome =
        train_(config, std::min(limit_.left_s(), minutes_left_s()), {.pause_after = pause_after, .test = false});
    stopped = outcome.interrupted;
    record.score = outcome.best_score;
    record.epochs = outcome.epochs;
    record.best_epoch = outcome.best_epoch;
    record.epochs_of_program = outcome.epochs_of_program;
    record.ended = outcome.ended;
  } catch (const AgreedFailure& error) {
    failure = error.what();
    code = error.exit_code();
  }
  log_.attach_file(base_.run.dir);
  const std::vector<std::string> failures = all_gather_strings(*world_, failure);
  for (const std::string& line : failures) record.failure = record.failure.empty() ? line : record.failure;
  const bool of_its_values = record.trial > 0 && (code == kBadConfiguration || code == kBadData);
  if (code != kDone && !of_its_values) throw AgreedFailure(code, failure);
  if (code != kDone) record.ended = true;
  record.seconds = std::stod(broadcast_string(*world_, std::to_string(Activity::now_s() - begin_s), 0));
  return record;
}

/// Of trial 0 those that the file has, for people: they change nothing.
DrawnValues Search::values_of(int64_t trial) const {
  if (trial > 0) return draw(tune_.space, static_cast<uint64_t>(tune_.seed), trial, base_);
  DrawnValues out;
  for (const SearchKey& key : tune_.space) {
    if (std::string value = value_of(base_, key.key); !value.empty()) out.emplace_back(key.key, std::move(value));
  }
  return out;
}

/// None: the search must stop before the rung is done.
std::optional<TrialRecord> Search::go_on(const Move& move) {
  const TrialRecord* const before = state_.last_of(move.trial);
  TrialRecord record{.trial = move.trial, .rung = move.rung};
  if (before != nullptr && before->ended) {  // nothing is left to train: it is there already
    record = *before;
    record.rung = move.rung;
    record.seconds = 0;
    return record;
  }
  record.values = values_of(move.trial);
  RunConfig config;
  std::string problem;
  collectively(*world_, [&] {
    try {
      config = config_with(record.values, trial_dir(move.trial), base_.run.seed);
    } catch (const ConfigError& error) {  // values that do not go together
      problem = error.what();
    }
  });
  if (!problem.empty()) {
    record.failure = problem;
    record.ended = true;
    return record;
  }
  bool stopped = false;
  record = train_trial(std::move(record), config, stopped);
  if (!stopped) return record;
  state_.stopped_s += record.seconds;
  save();
  return {};
}

/// False: a signal or a time limit of the process came first.
bool Search::try_all() {
  for (;;) {
    const int64_t whole = state_.trials.empty() ? 1 : state_.trials[0].epochs_of_program;
    const std::vector<RungScore> known = state_.scores();
    const auto move = next_move({tune_.trials, tune_.factor, rungs_of(whole, tune_.factor, tune_.rungs)}, known);
    if (!move) return true;
    Stop stop = must_stop(false);
    std::optional<TrialRecord> record;
    if (stop == Stop::kNo) {
      record = go_on(*move);
      if (!record) stop = must_stop(true);
    }
    if (stop == Stop::kLeave) return false;
    if (stop == Stop::kMinutesAreOver) {
      log_.info("tune.minutes are over: the best trial so far is taken; with more minutes the search goes on");
      return true;
    }
    state_.trials.push_back(*record);
    save();
    drop_checkpoints();
    const TrialRecord* const best = state_.best();
    const std::string score = record->score ? std::to_string(*record->score) : "failed: " + record->failure;
    log_.info(
        "trial " + std::to_string(record->trial) + ", rung " + std::to_string(record->rung) + ", epoch " +
        std::to_string(record->epochs) + ": " + score +
        (best != nullptr ? "; best: trial " + std::to_string(best->trial) + ", " + std::to_string(*best->score) : ""));
  }
}

/// The best configuration with seeds that no trial had; false as of try_all().
bool Search::run_seeds() {
  const TrialRecord* const best = state_.best();
  if (best == nullptr) return true;
  for (int64_t n = 1; n <= tune_.seeds; ++n) {
    const int64_t seed = base_.run.seed + n;
    const bool known = std::ranges::any_of(
        state_.seeds, [&](const SeedRecord& one) { return one.seed == seed && one.trial == best->trial; });
    if (known) continue;
    if (must_stop(false) == Stop::kLeave) return false;
    RunConfig config;
    collectively(*world_, [&] {
      const std::string name = "trial_" + std::to_string(best->trial) + "_seed_" + std::to_string(seed);
      config = config_with(best->values, dir() / "seeds" / name, seed);
    });
    const double begin_s = Activity::now_s();
    const TrainOutcome outcome = train_(config, limit_.left_s(), {});
    log_.attach_file(base_.run.dir);
    if (outcome.interrupted) return false;
    const double took_s = std::stod(broadcast_string(*world_, std::to_string(Activity::now_s() - begin_s), 0));
    state_.seeds.push_back({seed, best->trial, outcome.best_score, took_s, outcome.test});
    save();
    log_.info("seed " + std::to_string(seed) + ": validation " + std::to_string(outcome.best_score));
  }
  std::erase_if(state_.seeds, [&](const SeedRecord& one) { return one.trial != best->trial; });
  return true;
}

}  // namespace cllm
