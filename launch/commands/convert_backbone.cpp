#include <CLI/CLI.hpp>
#include <filesystem>

#include "data/text/tokenizer.h"
#include "launch/commands/command_line.h"
#include "launch/commands/run_use.h"
#include "launch/failures/errors.h"
#include "model/backbones/load_backbone.h"

namespace cllm {
namespace {

struct ConvertArguments {
  std::string model, output;
  bool overwrite = false;
};

void convert(const ConvertArguments& arguments, Log& log) {
  require_new(arguments.output, arguments.overwrite, {arguments.model});
  const auto backbone = load_backbone(arguments.model, {});
  const Tokenizer tokenizer = Tokenizer::load(arguments.model);
  std::filesystem::create_directories(arguments.output);
  save_backbone(arguments.output, *backbone);
  tokenizer.save(arguments.output);
  int64_t parameters = 0;
  for (const auto& [name, tensor] : backbone->parameters()) parameters += tensor.numel();
  log.info("wrote " + arguments.output + ": config.json, model.safetensors (" + std::to_string(parameters) +
           " parameters in fp32), tokenizer.json (" + std::to_string(tokenizer.size()) + " words)");
}

}  // namespace

void add_convert_backbone_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<ConvertArguments>();
  CLI::App* const command = app.add_subcommand(
      "convert-backbone", "Write a backbone (a GGUF file, or a folder) as a Hugging Face folder in fp32");
  command->add_option("model", arguments->model, "GGUF file, or Hugging Face folder with its tokenizer")->required();
  command->add_option("output", arguments->output, "The folder to write")->required();
  command->add_flag("--overwrite", arguments->overwrite, "Write into a folder that is there already");
  command->callback([=, &context] {
    context.action = [arguments, &context] { return context.on_rank_0([&] { convert(*arguments, context.log); }); };
  });
}

}  // namespace cllm
