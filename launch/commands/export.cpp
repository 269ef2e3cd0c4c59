#include <CLI/CLI.hpp>

#include "launch/commands/run_use.h"
#include "launch/failures/exit_codes.h"
#include "launch/run/export_run.h"

namespace cllm {

void add_export_command(CLI::App& app, CommandContext& context) {
  auto run_dir = std::make_shared<std::string>();
  auto output = std::make_shared<std::string>();
  CLI::App* const command = app.add_subcommand(
      "export", "Write embeddings (safetensors, .npy, raw ids) and the RecLLM in Hugging Face layout");
  command->add_option("run", *run_dir, "Run folder")->required();
  command->add_option("--output,-o", *output, "Folder to write; default RUN/export");
  command->callback([=, &context] {
    context.action = [=, &context] {
      const OpenRun run = open_run(context, *run_dir, "cpu");
      const std::string dir = output->empty() ? *run_dir + "/export" : *output;
      export_run(*run.workspace, *run.world, dir);
      context.log.info("wrote " + dir);
      return int{kDone};
    };
  });
}

}  // namespace cllm
