#include "launch/commands/command_line.h"

#include <CLI/CLI.hpp>

#include "data/errors.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"

namespace cllm {

int CommandContext::on_rank_0(const std::function<void()>& work) {
  collectively(*mpi.world(), [&] {
    if (mpi.rank() == 0) work();
  });
  return kDone;
}

ColumnChoices column_choices(const std::string& text) {
  try {
    return parse_column_choices(text);
  } catch (const DataError& error) {
    throw ConfigError(error.what());
  }
}

int run_command_line(MpiSession& mpi, int argc, char** argv, bool may_end_mpi) {
  Log log(mpi.rank(), mpi.world_size());
  CommandContext context{mpi, log, may_end_mpi, {}};
  CLI::App app(
      "Trains CLLM4Rec and uses what it learned. Data first: prepare. Then: train, evaluate, recommend, export.",
      "cllm4rec");
  app.require_subcommand(1);
  app.set_version_flag("--version", CLLM_VERSION);
  for (const auto add :
       {add_prepare_command, add_retokenize_command, add_demo_data_command, add_pretrain_command, add_train_command,
        add_tune_command, add_evaluate_command, add_recommend_command, add_export_command, add_embed_command,
        add_convert_backbone_command, add_inspect_command, add_checkpoint_command}) {
    add(app, context);
  }
  const auto commands =
      app.get_subcommands([&](const CLI::App* command) { return argc > 1 && command->check_name(argv[1]); });
  if (argc > 1 && argv[1][0] != '-' && commands.empty()) {
    throw AgreedFailure(kBadConfiguration,
                        mpi.rank() == 0 ? "unknown command \"" + std::string(argv[1]) + "\"; see cllm4rec --help" : "");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return mpi.rank() == 0 ? app.exit(error) : kDone;  // --help, --version
    throw AgreedFailure(kBadConfiguration, mpi.rank() == 0 ? std::string(error.what()) + "; see cllm4rec --help" : "");
  }
  return context.action();
}

}  // namespace cllm
