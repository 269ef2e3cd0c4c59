#include "data/ingest/retokenize.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "launch/commands/command_line.h"
#include "launch/commands/phase_lines.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

/// CORPUS-NAME, with the name of the tokenizer's folder or the size of the one that is trained.
std::filesystem::path default_output(const RetokenizeOptions& options) {
  const auto base = [](const std::filesystem::path& path) {
    return path.has_filename() ? path : path.parent_path();  // as typed with a slash at the end
  };
  const std::string name = options.tokenizer.empty() ? "bpe" + std::to_string(options.train_tokenizer)
                                                     : base(options.tokenizer).filename().string();
  return base(options.corpus).string() + "-" + name;
}

}  // namespace

void add_retokenize_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<RetokenizeOptions>();
  CLI::App* const command =
      app.add_subcommand("retokenize", "Write a corpus anew with another tokenizer, without the raw files");
  command->add_option("corpus", options->corpus, "The corpus to read")->required();
  CLI::Option* const tokenizer = command->add_option("--tokenizer", options->tokenizer,
                                                     "Folder with Hugging Face tokenizer files, or a GGUF file");
  command->add_option("--train-tokenizer", options->train_tokenizer, "Train a byte-level BPE of this size on the texts")
      ->excludes(tokenizer)
      ->check(CLI::Range(int64_t{257}, int64_t{1} << 31));
  command->add_option("--output", options->output, "The corpus to write; CORPUS-TOKENIZER if not given");
  command->add_flag("--overwrite", options->overwrite, "Replace an existing corpus");
  command->add_option("--threads", options->threads, "For tokenisation; 0: all cores")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->callback([=, &context] {
    context.action = [options, &context] {
      return context.on_rank_0([&] {
        if (options->tokenizer.empty() && options->train_tokenizer == 0) {
          throw ConfigError(
              "retokenize needs a tokenizer: --tokenizer FOLDER (of the backbone), or --train-tokenizer SIZE (257 or "
              "more)");
        }
        if (options->output.empty()) options->output = default_output(*options);
        PhaseLines lines;
        options->progress = [&](const char* phase, uint64_t done, uint64_t total) { lines.show(phase, done, total); };
        const RetokenizeReport report = retokenize(*options);
        lines.finish();
        std::printf("%s: %lld texts of %lld tokens, %lld words, %llu texts cut\n", options->output.c_str(),
                    static_cast<long long>(report.num_texts), static_cast<long long>(report.num_text_tokens),
                    static_cast<long long>(report.num_words), static_cast<unsigned long long>(report.cut_texts));
      });
    };
  });
}

}  // namespace cllm
