#pragma once

#include <memory>
#include <string>
#include <vector>

#include "launch/commands/command_line.h"
#include "launch/config/paths.h"
#include "launch/run/restore.h"
#include "launch/run/run_folder.h"
#include "launch/run/workspace.h"

namespace cllm {

/// What the commands that use a run are told about it.
struct RunArguments {
  std::string dir, device;  // device "": where the run was trained
  MovedPaths moved;
  std::string grown = {};  // a corpus that extends the run's, to be used in its place; "": none
};
/// The run folder, --corpus, --backbone and --device.
void add_run_arguments(CLI::App& command, RunArguments& arguments);

/// A trained run opened for use: its configuration, its best state in the tables. Collective.
struct OpenRun {
  RunFolder folder;
  std::unique_ptr<Communicator> world;
  std::unique_ptr<Channels> channels;  // all of them `world`
  std::unique_ptr<Workspace> workspace;
  BestState best;
};
/// Rows of users and items that the run has not, of arguments.grown, start as launch/run/grown_state.h says.
OpenRun open_run(CommandContext& context, const RunArguments& arguments);
/// `threads`: of the computation; 0: as the run was trained with.
OpenRun open_run(MpiSession& mpi, const RunArguments& arguments, int threads = 0);

/// ConfigError if the run trained a model that gives no lists.
void require_ranking(const Workspace& workspace);

/// ConfigError if the name of a file of JSON lines promises something else.
void require_json_lines(const std::string& option, const std::string& output);

/// ConfigError if the file, or something in the folder, is there already; with `overwrite` only if it is one of the
/// inputs, or in one of them. Inputs that are not there do not count.
void require_new(const std::string& output, bool overwrite, const std::vector<std::string>& inputs = {});

}  // namespace cllm
