#include <CLI/CLI.hpp>

#include "launch/commands/run_use.h"
#include "launch/failures/agree.h"
#include "launch/failures/exit_codes.h"
#include "launch/run/export_run.h"

namespace cllm {

void add_export_command(CLI::App& app, CommandContext& context) {
  auto run_arguments = std::make_shared<RunArguments>();
  auto overwrite = std::make_shared<bool>(false);
  auto output = std::make_shared<std::string>();
  CLI::App* const command = app.add_subcommand(
      "export", "Write embeddings (safetensors, .npy, raw ids) and the RecLLM in Hugging Face layout");
  add_run_arguments(*command, *run_arguments);
  command->add_option("--output,-o", *output, "Folder to write; default RUN/export");
  command->add_flag("--overwrite", *overwrite, "Write into a folder that holds files already");
  command->callback([=, &context] {
    context.action = [=, &context] {
      const std::string dir = output->empty() ? run_arguments->dir + "/export" : *output;
      collectively(*context.mpi.world(), [&] { require_new(dir, *overwrite); });
      RunArguments on_host = *run_arguments;
      on_host.device = "cpu";
      const OpenRun run = open_run(context, on_host);
      export_run(*run.workspace, *run.world, dir);
      context.log.info("wrote " + dir);
      return int{kDone};
    };
  });
}

}  // namespace cllm
