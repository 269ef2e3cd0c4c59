#include <CLI/CLI.hpp>
#include <filesystem>

#include "launch/commands/run_use.h"
#include "launch/export/export_run.h"
#include "launch/export/item_index.h"
#include "launch/export/proof.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"

namespace cllm {
namespace {

struct ExportArguments {
  RunArguments run;
  std::string output;
  bool overwrite = false, faiss = false, prove = false;

  std::string dir() const { return output.empty() ? run.dir + "/export" : output; }
};

int export_or_prove(CommandContext& context, const ExportArguments& arguments) {
  const std::string dir = arguments.dir();
  // What is there already is proved, and stays.
  const bool only_prove = arguments.prove && !arguments.overwrite && std::filesystem::exists(dir + "/" + kRankedItems);
  collectively(*context.mpi.world(), [&] {
    if (!only_prove) require_new(dir, arguments.overwrite);
    if (arguments.faiss && !why_no_faiss().empty()) throw ConfigError("--faiss: " + why_no_faiss());
  });
  RunArguments on_host = arguments.run;
  on_host.device = "cpu";
  const OpenRun run = open_run(context, on_host);
  const bool ranked_items = arguments.faiss || arguments.prove;
  collectively(*run.world, [&] {
    if (!ranked_items || run.workspace->model->scored_rows().defined()) return;
    throw ConfigError(std::string(arguments.faiss ? "--faiss: " : "--prove: ") + "scores of " +
                      run.workspace->config.model + " are no dot products of item rows; leave it out");
  });
  if (!only_prove) {
    export_run(*run.workspace, *run.world, dir, {.ranked_items = ranked_items, .faiss = arguments.faiss});
    context.log.info("wrote " + dir);
  }
  if (!arguments.prove) return kDone;
  for (const std::string& line : prove_export(*run.workspace, *run.world, dir)) context.log.info(line);
  return kDone;
}

}  // namespace

void add_export_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* const command = app.add_subcommand(
      "export", "Write embeddings (safetensors, .npy, raw ids) and the RecLLM in Hugging Face layout");
  add_run_arguments(*command, arguments->run);
  command->add_option("--output,-o", arguments->output, "Folder to write; default RUN/export");
  command->add_flag("--overwrite", arguments->overwrite, "Write into a folder that holds files already");
  command->add_flag("--faiss", arguments->faiss,
                    "Also the items' rows as Faiss indexes of inner products: items_flat.faiss, items_hnsw.faiss");
  command->add_flag(
      "--prove", arguments->prove,
      "Recompute the best 20 items of 100 users from what was written (its rows, Faiss, and transformers of the Python "
      "that CLLM_PYTHON names); fail if they are not those of the run. A folder that was written with --prove or "
      "--faiss is not written again without --overwrite");
  command->callback([=, &context] { context.action = [=, &context] { return export_or_prove(context, *arguments); }; });
}

}  // namespace cllm
