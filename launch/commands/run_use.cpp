#include "launch/commands/run_use.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/run/connect.h"
#include "launch/run/train_state.h"

namespace cllm {

OpenRun open_run(CommandContext& context, const RunArguments& arguments) { return open_run(context.mpi, arguments); }

OpenRun open_run(MpiSession& mpi, const RunArguments& arguments, int threads) {
  OpenRun run{RunFolder(arguments.dir), mpi.world(), nullptr, nullptr, {}};
  RunConfig config;
  collectively(*run.world, [&] {
    config = run.folder.load_config();
    find_paths(config, arguments.dir, arguments.moved);
  });
  config.run.dir = arguments.dir;
  const bool grown = !arguments.grown.empty();
  if (grown) {
    config.run.corpus = arguments.grown;
    config.init = {.run = arguments.dir};
  }
  if (threads > 0) config.run.threads = threads;
  if (!arguments.device.empty()) config.run.device = arguments.device;
  const ConnectOptions options{.device = config.run.device};
  if (config.run.device != "cpu") run.world = connect(mpi, options);
  run.channels = std::make_unique<Channels>(*run.world);
  run.workspace = open_workspace(config, mpi, *run.channels,
                                 {.device = open_device(mpi, options), .levels = {}, .to_start = grown});
  collectively(*run.world, [&] {
    if (grown) return;
    run.folder.check_corpus(run.workspace->corpus.fingerprint(), config.run.corpus);
    run.folder.check_backbone(fingerprint_of_frozen(run.workspace->model->store()), config);
  });
  together(*run.world, [&] {
    run.best =
        grown ? start_from(*run.workspace, *run.world, run.folder) : load_best(*run.workspace, *run.world, run.folder);
  });
  return run;
}

void require_ranking(const Workspace& workspace) {
  if (workspace.model->ranks()) return;
  throw ConfigError(workspace.config.run.dir + " holds a " + workspace.config.model +
                    ", which gives no lists: name a run of a recommender");
}

void add_run_arguments(CLI::App& command, RunArguments& arguments) {
  command.add_option("run", arguments.dir, "Run folder")->required();
  command.add_option("--corpus", arguments.moved.corpus, "Where the run's corpus is, if it was moved");
  command.add_option("--backbone", arguments.moved.backbone, "Where the run's backbone is, if it was moved");
  command.add_option("--device", arguments.device, "cpu | cuda; default: where the run was trained")
      ->check(CLI::IsMember({"cpu", "cuda"}));
}

void require_json_lines(const std::string& option, const std::string& output) {
  for (const char* const other : {".gz", ".zst", ".zip", ".csv", ".tsv", ".parquet"}) {
    if (output.ends_with(other))
      throw ConfigError(std::string(option).append(" ").append(output) +
                        ": JSON lines are written, not packed: call it NAME.jsonl");
  }
}

void require_new(const std::string& output, bool overwrite, const std::vector<std::string>& inputs) {
  std::error_code error;
  if (!std::filesystem::exists(output, error)) return;
  const auto real = std::filesystem::canonical(output, error);
  for (const std::string& input : inputs) {
    const auto whole = std::filesystem::canonical(input, error);
    if (!error && std::ranges::mismatch(whole, real).in1 == whole.end())
      throw ConfigError(output + " is read, or a part of what is: choose another --output");
  }
  if (overwrite) return;
  if (std::filesystem::is_directory(output, error) && std::filesystem::is_empty(output, error)) return;
  throw ConfigError(output + " exists already: choose another --output, or say --overwrite");
}

}  // namespace cllm
