#include <CLI/CLI.hpp>
#include <cstdio>

#include "checkpoints/directory.h"
#include "checkpoints/reshard.h"
#include "launch/commands/command_line.h"
#include "launch/commands/number_checks.h"
#include "launch/failures/exit_codes.h"
#include "launch/run/inspect_run.h"

namespace cllm {
namespace {

using std::filesystem::path;

struct CheckpointArguments {
  path where, other;
  bool quick = false, full = false, dry_run = false;
  int keep_last = 2, ranks = 1;
  int64_t milestone_steps = 0;
};

/// The folder that holds the step folders: `where` may be a run folder or that folder itself.
path parent_of(const path& where) {
  path parent = std::filesystem::exists(where / "checkpoints") ? where / "checkpoints" : where;
  if (!std::filesystem::is_directory(parent))
    throw CheckpointError(CheckpointError::kUnusable, where.string() + ": no such folder");
  return parent;
}

/// `where` may be a run folder, its checkpoints folder, or one checkpoint.
std::vector<path> checkpoints_at(const path& where) {
  if (step_of_name(where.filename()) || std::filesystem::exists(where / "manifest.json")) return {where};
  const path parent = parent_of(where);
  auto folders = step_folders(parent);
  if (folders.empty()) throw CheckpointError(CheckpointError::kUnusable, parent.string() + " holds no checkpoint");
  return folders;
}

int verify(const CheckpointArguments& arguments) {
  for (const path& dir : checkpoints_at(arguments.where)) {
    const CheckpointInfo info = verify_checkpoint(dir, arguments.quick ? VerifyLevel::kQuick : VerifyLevel::kFull);
    std::printf("%s  step %lld  in order\n", dir.c_str(), static_cast<long long>(info.step));
  }
  return kDone;
}

int prune(const CheckpointArguments& arguments) {
  Files files;
  for (const path& dir : superfluous(parent_of(arguments.where), {arguments.keep_last, arguments.milestone_steps})) {
    std::printf("%s%s\n", arguments.dry_run ? "would remove " : "removed ", dir.c_str());
    if (!arguments.dry_run) remove_checkpoint(files, dir);
  }
  return kDone;
}

int diff(const CheckpointArguments& arguments) {
  bool equal = true;
  const std::string text =
      describe_difference(checkpoints_at(arguments.where).front(), checkpoints_at(arguments.other).front(), equal);
  std::printf("%s", text.c_str());
  return equal ? kDone : 1;  // as diff(1)
}

int reshard_checkpoint(const CheckpointArguments& arguments) {
  const CheckpointInfo from = verify_checkpoint(checkpoints_at(arguments.where).front(), VerifyLevel::kQuick);
  const CheckpointInfo made = reshard(from, arguments.other, arguments.ranks);
  std::printf("%s  step %lld  %d files, all rows equal\n", made.dir.c_str(), static_cast<long long>(made.step),
              arguments.ranks);
  return kDone;
}

int list(const CheckpointArguments& arguments) {
  std::printf("%s", describe_checkpoints(parent_of(arguments.where), arguments.full).c_str());
  return kDone;
}

int show(const CheckpointArguments& arguments) {
  for (const path& dir : checkpoints_at(arguments.where))
    std::printf("%s\n%s", dir.c_str(), describe_checkpoint(dir).c_str());
  return kDone;
}

using Act = int (*)(const CheckpointArguments&);

}  // namespace

void add_checkpoint_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<CheckpointArguments>();
  CLI::App* const command = app.add_subcommand("checkpoint", "Look after checkpoints");
  command->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& what, Act act) {
    CLI::App* const sub = command->add_subcommand(name, what);
    sub->add_option("path", arguments->where, "Run folder, its checkpoints folder, or one checkpoint")->required();
    sub->callback([=, &context] {
      context.action = [=, &context] {
        int code = kDone;
        context.on_rank_0([&] { code = act(*arguments); });
        return code;
      };
    });
    return sub;
  };
  CLI::App* const table = add("list", "Step, size, time, pins and state of all checkpoints", list);
  table->add_flag("--full", arguments->full, "Read and check every byte");
  CLI::App* const check = add("verify", "Read and check every byte; exit code 66 if a checkpoint is damaged", verify);
  check->add_flag("--quick", arguments->quick, "Manifest, names and sizes only");
  add("show", "Step, tensors and files of every checkpoint", show);
  CLI::App* const compare =
      add("diff",
          "Rows that differ and the largest difference, tensor by tensor; exit code 1 if any; a folder of "
          "several stands for its newest",
          diff);
  compare->add_option("other", arguments->other, "The same for the second")->required();
  CLI::App* const split =
      add("reshard",
          "Write a checkpoint anew for another number of ranks, and prove that all rows are equal. (A run with another "
          "number of ranks loads any checkpoint; this makes loading cheaper.)",
          reshard_checkpoint);
  split->add_option("to", arguments->other, "Folder for the new step folder, e.g. <run.dir>/checkpoints of another run")
      ->required();
  split->add_option("--ranks", arguments->ranks, "Files to write, one per future rank")
      ->required()
      ->check(CLI::Range(1, 99999));
  CLI::App* const remove =
      add("prune", "Remove old checkpoints; never a pinned one (the best) and never the newest", prune);
  remove->add_option("--keep-last", arguments->keep_last, "Newest checkpoints that stay")->required()->check(kPositive);
  remove->add_option("--milestone", arguments->milestone_steps, "Multiples of this step stay too")->check(kNotNegative);
  remove->add_flag("--dry-run", arguments->dry_run, "Only say what would go");
}

}  // namespace cllm
