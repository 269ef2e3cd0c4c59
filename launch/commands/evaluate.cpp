#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launch/commands/run_use.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "launch/run/baselines.h"
#include "launch/run/ranker.h"
#include "launch/run/start_print.h"

namespace cllm {
namespace {

struct EvaluateArguments {
  std::string run, part = "test", per_user, device;
  std::vector<int64_t> recall_k, ndcg_k;
  bool baselines = true;
};

/// Writes one JSON line per user to this rank's part of the file.
class PerUserFile {
 public:
  PerUserFile(const std::string& path, const Corpus& corpus, std::vector<std::string> names)
      : out_(path, std::ios::binary | std::ios::trunc), corpus_(corpus), names_(std::move(names)) {
    if (!out_) throw ConfigError("cannot write " + path + ": choose another --per-user file");
  }
  void write(int64_t user, const std::vector<double>& values) {
    nlohmann::ordered_json record{{"user", std::string(corpus_.user_raw_id(user))}};
    for (size_t n = 0; n < names_.size(); ++n) record[names_[n]] = values[n];
    out_ << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  }

 private:
  std::ofstream out_;
  const Corpus& corpus_;
  std::vector<std::string> names_;
};

int evaluate_run(CommandContext& context, const EvaluateArguments& arguments) {
  const OpenRun run = open_run(context, arguments.run, arguments.device);
  Workspace& workspace = *run.workspace;
  require_ranking(workspace);
  const EvaluationSection& defaults = workspace.config.evaluation;
  const bool chosen = !arguments.recall_k.empty() || !arguments.ndcg_k.empty();
  const EvaluationOptions options{.part = arguments.part == "validation" ? Part::kValidation : Part::kTest,
                                  .metrics = chosen ? MetricChoice{arguments.recall_k, arguments.ndcg_k}
                                                    : MetricChoice{defaults.recall_k, defaults.ndcg_k},
                                  .batch_users = defaults.batch_users};
  std::optional<PerUserFile> file;
  PerUserSink sink;
  if (!arguments.per_user.empty()) {
    collectively(*run.world, [&] {
      file.emplace(part_path(*run.world, arguments.per_user), workspace.corpus, options.metrics.names());
    });
    sink = [&](int64_t user, const std::vector<double>& values) { file->write(user, values); };
  }
  const auto metrics = evaluate(*workspace.model, workspace.corpus, *run.world, options, sink);
  file.reset();
  if (!arguments.per_user.empty()) join_parts(*run.world, arguments.per_user);
  if (context.mpi.rank() == 0) {
    std::map<std::string, MetricValues> rows;
    if (arguments.baselines)
      rows = evaluate_baselines(workspace.corpus, {options.metrics.recall, options.metrics.ndcg, options.part});
    std::printf("%s, state of step %lld\n%s", arguments.part.c_str(), static_cast<long long>(run.best.step),
                metrics_table(rows, metrics, workspace.config.model).c_str());
  }
  return kDone;
}

}  // namespace

void add_evaluate_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<EvaluateArguments>();
  CLI::App* const command =
      app.add_subcommand("evaluate", "Rank all items for the users with held-out items; print metrics");
  command->add_option("run", arguments->run, "Run folder")->required();
  command->add_option("--part", arguments->part, "test | validation")
      ->check(CLI::IsMember({"test", "validation"}))
      ->capture_default_str();
  command->add_option("--recall-k", arguments->recall_k, "Cut-offs, e.g. 10,20")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  command->add_option("--ndcg-k", arguments->ndcg_k, "Cut-offs, e.g. 10,100")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  add_device_option(*command, arguments->device);
  command->add_option("--per-user", arguments->per_user, "JSONL file with every user's metrics");
  command->add_flag("--baselines,!--no-baselines", arguments->baselines, "Also popularity and item cosine");
  command->callback([=, &context] { context.action = [=, &context] { return evaluate_run(context, *arguments); }; });
}

}  // namespace cllm
