#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "launch/commands/number_checks.h"
#include "launch/commands/run_use.h"
#include "launch/config/text.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "launch/output/joined_file.h"
#include "launch/run/measure_baselines.h"
#include "launch/run/start_print.h"
#include "model/errors.h"

namespace cllm {
namespace {

struct EvaluateArguments {
  RunArguments run;
  std::string part = "test", history, mask, per_user;
  std::vector<std::string> metrics;
  std::vector<int64_t> recall_k, ndcg_k;
  std::optional<int64_t> bootstrap;
  bool groups = false, no_baselines = false, overwrite = false;
  std::string baselines = join(kUsualBaselines, ",");
};

const std::map<std::string, Mask> kMasks = {
    {"history", Mask::kHistory}, {"known", Mask::kKnown}, {"none", Mask::kNone}};

/// Writes one JSON line per user to this rank's part of the file.
class PerUserFile {
 public:
  PerUserFile(JoinedFile& out, const Corpus& corpus, std::vector<std::string> names)
      : out_(out), corpus_(corpus), names_(std::move(names)) {}
  void write(int64_t user, const std::vector<double>& values) {
    nlohmann::ordered_json record{{"user", std::string(corpus_.user_raw_id(user))}};
    for (size_t n = 0; n < names_.size(); ++n) record[names_[n]] = values[n];
    out_.write(record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }

 private:
  JoinedFile& out_;
  const Corpus& corpus_;
  std::vector<std::string> names_;
};

/// "" or why it is none, as CLI11 wants it.
std::string problem_of_metric(const std::string& name) {
  try {
    parse_metric(name, "metrics");
  } catch (const ModelError& error) {
    return error.what();
  }
  return "";
}

/// "" or what is wrong with a list of baselines.
std::string problem_of_baselines(const std::string& text) {
  const std::vector<std::string> possible = possible_baselines();
  for (const std::string& name : CLI::detail::split(text, ',')) {
    if (std::ranges::find(possible, name) != possible.end()) continue;
    return name + " is no baseline: choose of " + join(possible, ", ") +
           " (the run folder is named before --baselines)";
  }
  return "";
}

/// Those of the run, where the command line says nothing else.
EvaluationOptions options_of(const EvaluateArguments& arguments, const RunConfig& config) {
  const Part part = arguments.part == "validation" ? Part::kValidation : Part::kTest;
  EvaluationOptions out = config.evaluation.options(part, static_cast<uint64_t>(config.run.seed));
  if (!arguments.recall_k.empty() || !arguments.ndcg_k.empty() || !arguments.metrics.empty()) {
    out.metrics = MetricList(arguments.recall_k, arguments.ndcg_k);
    for (const std::string& name : arguments.metrics) out.metrics.add(parse_metric(name, "--metrics"));
  }
  if (!arguments.history.empty()) {
    out.history = arguments.history == "train" ? HistoryMode::kTrain : HistoryMode::kTrainAndValidation;
  }
  if (!arguments.mask.empty()) out.mask = kMasks.at(arguments.mask);
  if (arguments.bootstrap) out.bootstrap = *arguments.bootstrap;
  out.groups = arguments.groups;
  return out;
}

void print_result(const EvaluationResult& result) {
  for (const auto& [name, interval] : result.intervals)
    std::printf("95 %% of the resamples  %-12s %.4f to %.4f\n", name.c_str(), interval.low, interval.high);
  for (const MetricGroup& group : result.groups) {
    std::printf("by %-8s %-6s %8lld users  %s\n", group.by.c_str(), group.name.c_str(),
                static_cast<long long>(group.num_users), format_metrics(group.values).c_str());
  }
  std::printf("protocol: %s\n", result.protocol.c_str());
}

int evaluate_run(CommandContext& context, const EvaluateArguments& arguments) {
  const OpenRun run = open_run(context, arguments.run);
  Workspace& workspace = *run.workspace;
  require_ranking(workspace);
  EvaluationOptions options;
  std::optional<JoinedFile> joined;
  std::optional<PerUserFile> file;
  PerUserSink sink;
  collectively(*run.world, [&] {
    options = options_of(arguments, workspace.config);
    if (workspace.corpus.num_interactions(options.part) == 0) {
      throw ConfigError("no user of " + workspace.config.run.corpus + " has a " + arguments.part +
                        " item: nothing to evaluate; prepare with a split that holds some out");
    }
    if (arguments.per_user.empty()) return;
    require_json_lines("--per-user", arguments.per_user);
    require_new(arguments.per_user, arguments.overwrite);
  });
  if (!arguments.per_user.empty())
    file.emplace(joined.emplace(*run.world, arguments.per_user, arguments.run.dir, "--per-user file"), workspace.corpus,
                 options.metrics.per_user().names());
  if (file) sink = [&](int64_t user, const std::vector<double>& values) { file->write(user, values); };
  EvaluationResult result;
  together(*run.world, [&] { result = evaluate(*workspace.model, workspace.corpus, *run.world, options, sink); });
  if (joined) joined->join();
  Baselines baselines;
  if (!arguments.no_baselines) {
    const std::vector<std::string> names = CLI::detail::split(arguments.baselines, ',');
    baselines = measure_baselines(workspace, names, options).value();
  }
  if (context.mpi.rank() == 0) {
    std::printf("%s, state of step %lld\n%s", arguments.part.c_str(), static_cast<long long>(run.best.step),
                metrics_table(arguments.part, baselines, result.values, workspace.config.model).c_str());
    print_result(result);
  }
  return kDone;
}

}  // namespace

void add_evaluate_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* const command =
      app.add_subcommand("evaluate", "Rank all items for the users with held-out items; print metrics");
  add_run_arguments(*command, arguments->run);
  command->add_option("--part", arguments->part, "test | validation")
      ->check(CLI::IsMember({"test", "validation"}))
      ->capture_default_str();
  command->add_option("--recall-k", arguments->recall_k, "Cut-offs, e.g. 10,20")->delimiter(',')->check(kPositive);
  command->add_option("--ndcg-k", arguments->ndcg_k, "Cut-offs, e.g. 10,100")->delimiter(',')->check(kPositive);
  command->add_option("--metrics", arguments->metrics, "Metrics by name, e.g. hit@10,mrr@10,coverage@20")
      ->delimiter(',')
      ->check(problem_of_metric);
  command
      ->add_option("--history", arguments->history,
                   "What the model is fed: train | train+validation; default: the run's")
      ->check(CLI::IsMember({"train", "train+validation"}));
  command
      ->add_option("--mask", arguments->mask,
                   "What no list holds: history (what the model is fed) | known (train and validation) | none; "
                   "default: the run's")
      ->check(CLI::IsMember({"history", "known", "none"}));
  command
      ->add_option("--bootstrap", arguments->bootstrap,
                   "Resamples of the users for 95 % confidence intervals, e.g. 1000; 0: none; default: the run's")
      ->check(CLI::Range(0, 1'000'000));
  command->add_flag("--groups", arguments->groups, "Also by history length and by how frequent the held-out items are");
  command->add_option("--per-user", arguments->per_user, "JSONL file with every user's metrics");
  command->add_flag("--overwrite", arguments->overwrite, "Replace that file");
  auto* const baselines = command
                              ->add_option("--baselines", arguments->baselines,
                                           "What else is measured: of " + join(possible_baselines(), ", "))
                              ->expected(0, 1)
                              ->default_str(arguments->baselines)
                              ->check(problem_of_baselines);
  command->add_flag("--no-baselines", arguments->no_baselines, "The run alone")->excludes(baselines);
  command->callback([=, &context] { context.action = [=, &context] { return evaluate_run(context, *arguments); }; });
}

}  // namespace cllm
