#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/ingest/values/columns.h"
#include "dist/communicator/mpi_session.h"
#include "launch/output/log.h"

namespace CLI {
class App;
}

namespace cllm {

/// What every command gets.
struct CommandContext {
  MpiSession& mpi;
  Log& log;
  bool may_end_mpi;  // nothing follows in this process
  /// Set by the chosen subcommand; returns the exit code. Collective unless the command says otherwise.
  std::function<int()> action;

  /// Runs `work` on rank 0 only, for commands that are no distributed work; its failure is every rank's failure.
  int on_rank_0(const std::function<void()>& work);
};

/// The value of --columns, "user=visitor,item=sku"; ConfigError if it is none.
ColumnChoices column_choices(const std::string& text);

/// Parses the arguments, runs the command, returns the exit code; 64 with one line for a bad command line.
/// `may_end_mpi`: nothing follows in this process, so that the command may end MPI where it watches that.
int run_command_line(MpiSession& mpi, int argc, char** argv, bool may_end_mpi = false);

// One function per file of this folder: adds the subcommand and its options, and sets context.action when it is chosen.
void add_train_command(CLI::App& app, CommandContext& context);
void add_tune_command(CLI::App& app, CommandContext& context);
void add_pretrain_command(CLI::App& app, CommandContext& context);
void add_prepare_command(CLI::App& app, CommandContext& context);
void add_retokenize_command(CLI::App& app, CommandContext& context);
void add_embed_command(CLI::App& app, CommandContext& context);
void add_convert_backbone_command(CLI::App& app, CommandContext& context);
void add_demo_data_command(CLI::App& app, CommandContext& context);
void add_evaluate_command(CLI::App& app, CommandContext& context);
void add_recommend_command(CLI::App& app, CommandContext& context);
void add_export_command(CLI::App& app, CommandContext& context);
void add_inspect_command(CLI::App& app, CommandContext& context);
void add_checkpoint_command(CLI::App& app, CommandContext& context);

}  // namespace cllm
