#include <CLI/CLI.hpp>
#include <optional>
#include <tuple>

#include "launch/commands/run_use.h"
#include "launch/embed/text_vectors.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "launch/run/workspace.h"
#include "model/backbones/load_backbone.h"

namespace cllm {
namespace {

struct EmbedArguments {
  std::string corpus, backbone, output, precision = "fp32", pool = "mean";
  EmbedOptions how;
  bool overwrite = false;

  /// NAME.users.safetensors.
  std::filesystem::path of_users() const {
    return std::filesystem::path(output).replace_extension(".users.safetensors");
  }
};

void write(const EmbedArguments& arguments, const TextVectorsOfCorpus& vectors, Log& log) {
  for (const auto& [path, ids, what] : {std::tuple{std::filesystem::path(arguments.output), &vectors.items, "items"},
                                        {arguments.of_users(), &vectors.users, "users"}}) {
    if (ids->raw_ids.empty()) continue;
    write_vectors(path, *ids);
    log.info("wrote vectors of " + std::to_string(ids->raw_ids.size()) + " " + what + ", " +
             std::to_string(ids->vectors_nD.size(1)) + " wide, to " + path.string() + ", their raw ids beside it");
  }
  if (vectors.num_cut > 0)
    log.info(std::to_string(vectors.num_cut) + " of " + std::to_string(vectors.num_texts) + " texts were cut to " +
             std::to_string(arguments.how.max_tokens) + " tokens or what the backbone has positions for");
}

int embed(CommandContext& context, const EmbedArguments& arguments) {
  const auto world = context.mpi.world();
  std::optional<Corpus> corpus;
  std::optional<Tokenizer> tokenizer;
  collectively(*world, [&] {
    if (!arguments.output.ends_with(".safetensors"))
      throw ConfigError("--output " + arguments.output + ": name a file NAME.safetensors");
    const std::vector<std::string> inputs = {arguments.corpus, arguments.backbone};
    require_new(arguments.output, arguments.overwrite, inputs);
    require_new(arguments.of_users(), arguments.overwrite, inputs);
    corpus = Corpus::open(arguments.corpus);
    tokenizer = Tokenizer::load(arguments.backbone);
  });
  use_threads(0, context.mpi);
  const auto host = context.mpi.host(0);
  together(*world, [&] {
    const auto backbone = load_backbone(*host, arguments.backbone,
                                        {.compute = arguments.precision == "bf16" ? at::kBFloat16 : at::kFloat});
    const TextVectorsOfCorpus vectors = embed_texts(*corpus, *tokenizer, *backbone, arguments.how, *world);
    if (world->rank() == 0) write(arguments, vectors, context.log);
  });
  return kDone;
}

}  // namespace

void add_embed_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<EmbedArguments>();
  CLI::App* const command = app.add_subcommand(
      "embed",
      "Vectors of the texts of items and users by a backbone: NAME.safetensors (tensor vectors, F32 [n, D]) and "
      "NAME.ids.txt (a raw id per line); those of users in NAME.users.safetensors and NAME.users.ids.txt");
  command->add_option("corpus", arguments->corpus, "Corpus folder; its texts are read anew by the backbone's tokenizer")
      ->required();
  command->add_option("--backbone", arguments->backbone, "Hugging Face folder with its tokenizer, or a GGUF file")
      ->required();
  command->add_option("--output,-o", arguments->output, "NAME.safetensors, of the items")->required();
  command
      ->add_option("--layer", arguments->how.layer, "States behind this block; 0: word embeddings; default: the last")
      ->check(CLI::Range(0, 10'000));
  command->add_option("--pool", arguments->pool, "mean: of the text's tokens; last: the last token's")
      ->check(CLI::IsMember({"mean", "last"}))
      ->capture_default_str();
  command->add_option("--max-tokens", arguments->how.max_tokens, "Of a text that are read")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--precision", arguments->precision, "fp32 | bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  command->add_flag("--overwrite", arguments->overwrite, "Replace the files if they exist");
  command->callback([=, &context] {
    arguments->how.pool = arguments->pool == "last" ? Pool::kLast : Pool::kMean;
    context.action = [=, &context] { return embed(context, *arguments); };
  });
}

}  // namespace cllm
