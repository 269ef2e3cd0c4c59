#include "launch/commands/run_use.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>

#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/run/connect.h"

namespace cllm {

OpenRun open_run(CommandContext& context, const std::string& dir, const std::string& device) {
  OpenRun run{RunFolder(dir), context.mpi.world(), nullptr, nullptr, {}};
  RunConfig config;
  collectively(*run.world, [&] { config = run.folder.load_config(); });
  config.run.dir = dir;
  if (!device.empty()) config.run.device = device;
  const ConnectOptions options{.device = config.run.device};
  if (config.run.device != "cpu") run.world = connect(context.mpi, options);
  run.channels = std::make_unique<Channels>(*run.world);
  run.workspace =
      open_workspace(config, context.mpi, *run.channels, {.device = open_device(context.mpi, options), .levels = {}});
  together(*run.world, [&] { run.best = load_best(*run.workspace, *run.world, run.folder); });
  return run;
}

void require_ranking(const Workspace& workspace) {
  if (workspace.model->ranks()) return;
  throw ConfigError(workspace.config.run.dir + " holds a " + workspace.config.model +
                    ", which gives no lists: name a run of a recommender");
}

void add_device_option(CLI::App& command, std::string& device) {
  command.add_option("--device", device, "cpu | cuda; default: where the run was trained")
      ->check(CLI::IsMember({"cpu", "cuda"}));
}

std::string part_path(const Communicator& comm, const std::string& path) {
  return path + ".part" + std::to_string(comm.rank());
}

void join_parts(Communicator& comm, const std::string& path) {
  comm.barrier();
  collectively(comm, [&] {
    if (comm.rank() != 0) return;
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    for (int rank = 0; rank < comm.world_size(); ++rank) {
      const std::string part = path + ".part" + std::to_string(rank);
      std::ifstream in(part, std::ios::binary);
      if (in.peek() != std::ifstream::traits_type::eof()) out << in.rdbuf();
      std::filesystem::remove(part);
    }
    out.close();
    if (!out) throw ConfigError("cannot write " + path + ": make room, or choose another --output");
  });
}

}  // namespace cllm
