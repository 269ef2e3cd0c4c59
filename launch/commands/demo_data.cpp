#include "data/ingest/demo/demo_data.h"

#include <CLI/CLI.hpp>

#include "launch/commands/command_line.h"
#include "launch/commands/number_checks.h"

namespace cllm {

void add_demo_data_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<DemoOptions>();
  auto dir = std::make_shared<std::string>();
  CLI::App* const command =
      app.add_subcommand("demo-data", "Write a synthetic job market: biographies, job texts, applications");
  command->add_option("dir", *dir, "Folder to write")->required();
  command->add_option("--users", options->users)->check(kPositive)->capture_default_str();
  command->add_option("--items", options->items)->check(CLI::Range(3, 1 << 30))->capture_default_str();
  command->add_option("--applications", options->applications, "Mean per user")
      ->check(CLI::Range(3.0, 1e6))
      ->capture_default_str();
  command->add_option("--notes", options->notes, "Share of the applications with a note of the user")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--seed", options->seed)->capture_default_str();
  command->callback([=, &context] {
    context.action = [=, &context] { return context.on_rank_0([&] { make_demo_data(*dir, *options); }); };
  });
}

}  // namespace cllm
