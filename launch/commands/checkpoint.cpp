#include <CLI/CLI.hpp>
#include <cstdio>

#include "checkpoints/directory.h"
#include "launch/commands/command_line.h"
#include "launch/inspect_run.h"

namespace cllm {
namespace {

/// PATH may be a run folder, its checkpoints folder, or one checkpoint.
std::vector<std::filesystem::path> checkpoints_at(const std::filesystem::path& path) {
  if (std::filesystem::exists(path / "manifest.json")) return {path};
  const auto inside = std::filesystem::exists(path / "checkpoints") ? path / "checkpoints" : path;
  const auto folders = step_folders(inside);
  if (folders.empty()) throw CheckpointError(CheckpointError::kUnusable, inside.string() + " holds no checkpoint");
  return folders;
}

void verify(const std::filesystem::path& path, VerifyLevel level) {
  for (const auto& dir : checkpoints_at(path)) {
    const CheckpointInfo info = verify_checkpoint(dir, level);
    std::printf("%s  step %lld  in order\n", dir.c_str(), static_cast<long long>(info.step));
  }
}

}  // namespace

void add_checkpoint_command(CLI::App& app, CommandContext& context) {
  auto path = std::make_shared<std::filesystem::path>();
  auto quick = std::make_shared<bool>(false);
  CLI::App* const command = app.add_subcommand("checkpoint", "Look after checkpoints");
  command->require_subcommand(1);
  CLI::App* const show = command->add_subcommand("show", "Step, tensors and files of every checkpoint");
  CLI::App* const check = command->add_subcommand("verify", "Read and check every byte; exit code 66 if a checkpoint is damaged");
  for (CLI::App* const sub : {show, check}) sub->add_option("path", *path, "Run folder or checkpoint")->required();
  check->add_flag("--quick", *quick, "Manifest, names and sizes only");
  show->callback([=, &context] {
    context.action = [=, &context] {
      return context.on_rank_0([&] {
        for (const auto& dir : checkpoints_at(*path)) std::printf("%s\n%s", dir.c_str(), describe_checkpoint(dir).c_str());
      });
    };
  });
  check->callback([=, &context] {
    context.action = [=, &context] {
      return context.on_rank_0([&] { verify(*path, *quick ? VerifyLevel::kQuick : VerifyLevel::kFull); });
    };
  });
}

}  // namespace cllm
