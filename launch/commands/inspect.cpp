#include "data/corpus/inspect.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "launch/commands/command_line.h"
#include "launch/failures/errors.h"
#include "launch/run/inspect_run.h"

namespace cllm {

void add_inspect_command(CLI::App& app, CommandContext& context) {
  auto path = std::make_shared<std::filesystem::path>();
  auto options = std::make_shared<InspectOptions>();
  auto verify = std::make_shared<bool>(false);
  CLI::App* const command = app.add_subcommand("inspect", "Show what a corpus, a run folder or a checkpoint holds");
  command->add_option("path", *path, "Corpus, run folder or checkpoint")->required();
  command->add_option("--samples", options->samples, "Decoded samples of a corpus")->capture_default_str();
  command->add_flag("--verify", *verify, "Compare the checksums of a corpus' files, too");
  command->callback([=, &context] {
    context.action = [=, &context] {
      return context.on_rank_0([&] {
        std::string text;
        if (std::filesystem::exists(*path / "corpus.json")) {
          text = describe(Corpus::open(*path, *verify), *options);
        } else if (std::filesystem::exists(*path / "config.toml")) {
          text = describe_run(*path);
        } else if (std::filesystem::exists(*path / "manifest.json")) {
          text = describe_checkpoint(*path);
        } else {
          throw ConfigError(path->string() +
                            " is no corpus (corpus.json), run folder (config.toml) or checkpoint (manifest.json)");
        }
        std::fputs(text.c_str(), stdout);
      });
    };
  });
}

}  // namespace cllm
