#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <optional>

#include "launch/commands/command_line.h"
#include "launch/commands/number_checks.h"
#include "launch/commands/training.h"
#include "launch/failures/agree.h"
#include "launch/supervision/restart_guard.h"
#include "launch/tune/search.h"

namespace cllm {
namespace {

struct TuneArguments {
  SearchOptions search;
  std::optional<int64_t> trials, seeds;
  std::optional<double> minutes;
};

/// With those of [tune] that have an option of their own.
SearchOptions options_of(const TuneArguments& arguments, const std::vector<std::string>& overrides) {
  SearchOptions out = arguments.search;
  out.overrides = overrides;
  const auto add = [&](const char* key, const auto& value) {
    if (value) out.overrides.push_back("--tune." + std::string(key) + "=" + std::to_string(*value));
  };
  add("trials", arguments.trials);
  add("seeds", arguments.seeds);
  add("minutes", arguments.minutes);
  return out;
}

/// As `train` does it, but MPI goes on, and only its file hears of it.
TrainOutcome train_quietly(CommandContext& context, const RunConfig& config, double seconds, TrialOptions trial) {
  const bool first = context.mpi.rank() == 0;
  Supervision supervision;
  if (std::isfinite(seconds)) supervision.limit = TimeLimit(std::max(seconds, 1e-3), "");
  CommandContext inner{context.mpi, context.log, /*may_end_mpi=*/false, {}};
  std::optional<RunLock> lock;  // of rank 0
  collectively(*context.mpi.world(), [&] {
    if (first) enter(config, /*fresh=*/false, lock);
  });
  struct Quiet {
    Log& log;
    explicit Quiet(Log& of) : log(of) { log.be_quiet(true); }
    ~Quiet() { log.be_quiet(false); }
  } const quiet(context.log);
  TrainOutcome outcome = train_a_while(inner, config, supervision, {.trial = std::move(trial)});
  if (first) RestartGuard(config.run.dir).forgive();
  return outcome;
}

int tune(CommandContext& context, const SearchOptions& options) {
  const auto train = [&](const RunConfig& config, double seconds, TrialOptions trial) {
    return train_quietly(context, config, seconds, std::move(trial));
  };
  return Search(context.mpi.world(), context.log, options, train).run();
}

}  // namespace

void add_tune_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<TuneArguments>();
  CLI::App* const command = app.add_subcommand(
      "tune", "Search hyperparameters by successive halving on validation, or go on with a search: tune run.toml");
  command->add_option("config", arguments->search.file,
                      "TOML file as of train; [tune] and [tune.space] say what is searched");
  command->add_option("--trials", arguments->trials, "Configurations that are tried: tune.trials");
  command->add_option("--minutes", arguments->minutes, "That all trials may take together: tune.minutes");
  command->add_option("--seeds", arguments->seeds, "Runs of the best configuration with other seeds: tune.seeds");
  command->add_flag("--fresh", arguments->search.fresh, "Start over: remove the search's trials");
  command
      ->add_option("--max-seconds", arguments->search.max_seconds, "As of train: save and stop in time (exit code 75)")
      ->check(kNotNegative);
  command->add_option("--stop-before", arguments->search.stop_before, "As of train");
  command->allow_extras();
  command->callback([=, &context] {
    const SearchOptions options = options_of(*arguments, command->remaining());
    context.action = [=, &context] { return tune(context, options); };
  });
}

}  // namespace cllm
