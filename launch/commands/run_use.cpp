#include "launch/commands/run_use.h"

#include <filesystem>
#include <fstream>

#include "launch/agree.h"
#include "launch/errors.h"

namespace cllm {

OpenRun open_run(CommandContext& context, const std::string& dir) {
  OpenRun run{RunFolder(dir), context.mpi.world(), nullptr, {}};
  RunConfig config;
  collectively(*run.world, [&] { config = run.folder.load_config(); });
  config.run.dir = dir;
  run.workspace = open_workspace(config, context.mpi, *run.world);
  together(*run.world, [&] { run.best = load_best(*run.workspace, *run.world, run.folder); });
  return run;
}

std::string part_path(const Communicator& comm, const std::string& path) { return path + ".part" + std::to_string(comm.rank()); }

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
