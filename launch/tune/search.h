#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dist/communicator/communicator.h"
#include "launch/config/config.h"
#include "launch/config/tune_section.h"
#include "launch/output/log.h"
#include "launch/run/trainer.h"
#include "launch/supervision/run_lock.h"
#include "launch/supervision/time_limit.h"
#include "launch/tune/search_state.h"

namespace cllm {

/// Trains in a run folder, at most so many seconds (infinite: no limit). Collective; throws on all ranks alike.
using TrainRun = std::function<TrainOutcome(const RunConfig& config, double seconds, TrialOptions trial)>;

struct SearchOptions {
  std::string file;                    // of the configuration; "": none
  std::vector<std::string> overrides;  // as of load_config(), with those of [tune]
  bool fresh = false;                  // what the folder knows of a search is removed
  double max_seconds = 0;
  std::string stop_before;  // as of TimeLimit
};

/// A search for hyperparameters in the folder run.dir: trials/NNN and seeds/ are run folders, trials.jsonl is all that
/// a search knows, which goes on from there after any end of the process; trials.tsv, trials.md and best.toml are for
/// people. Every rank knows all records, so all take the same decisions. Members are collective.
class Search {
 public:
  /// Throws AgreedFailure on all ranks for what a person must mend.
  Search(std::unique_ptr<Communicator> world, Log& log, const SearchOptions& options, TrainRun train);

  /// The exit code; standard output of rank 0 has the table.
  int run();

 private:
  enum class Stop { kNo, kLeave, kMinutesAreOver };

  std::filesystem::path dir() const { return base_.run.dir; }
  std::filesystem::path state_file() const { return dir() / "trials.jsonl"; }
  std::filesystem::path trial_dir(int64_t trial) const;

  void open(const SearchOptions& options);
  void read_state();
  std::string identity() const;
  RunConfig config_with(const DrawnValues& values, const std::filesystem::path& run_dir, int64_t seed) const;
  DrawnValues values_of(int64_t trial) const;
  bool try_all();
  std::optional<TrialRecord> go_on(const Move& move);
  TrialRecord train_trial(TrialRecord record, const RunConfig& config, bool& stopped);
  bool run_seeds();
  Stop must_stop(bool interrupted);
  double minutes_left_s() const;
  void save();
  void drop_checkpoints();
  void tell();
  void present() const;

  std::unique_ptr<Communicator> world_;
  Log& log_;
  TrainRun train_;
  std::string file_;
  std::vector<std::string> overrides_;
  RunConfig base_;
  TuneSection tune_;
  TimeLimit limit_;
  std::optional<RunLock> lock_;  // of rank 0
  SearchState state_;
};

}  // namespace cllm
