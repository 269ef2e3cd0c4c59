#pragma once

#include <memory>
#include <string>

#include "launch/commands/command_line.h"
#include "launch/run/restore.h"
#include "launch/run/run_folder.h"
#include "launch/run/workspace.h"

namespace cllm {

/// A trained run opened for use: its configuration, its best state in the tables, on `device` ("": the run's).
/// Collective.
struct OpenRun {
  RunFolder folder;
  std::unique_ptr<Communicator> world;
  std::unique_ptr<Channels> channels;  // all of them `world`
  std::unique_ptr<Workspace> workspace;
  BestState best;
};
OpenRun open_run(CommandContext& context, const std::string& dir, const std::string& device);

/// ConfigError if the run trained a model that gives no lists.
void require_ranking(const Workspace& workspace);

/// --device of a command that uses a run.
void add_device_option(CLI::App& command, std::string& device);

/// "pre-post" parts that each rank wrote to `<path>.part<rank>` joined into `path` in rank order; rank 0 joins.
/// Collective.
void join_parts(Communicator& comm, const std::string& path);
std::string part_path(const Communicator& comm, const std::string& path);

}  // namespace cllm
