#include "data/ingest/prepare.h"

#include <CLI/CLI.hpp>
#include <map>

#include "launch/commands/command_line.h"
#include "launch/failures/errors.h"
#include "launch/output/progress.h"

namespace cllm {
namespace {

/// Shows the phases of prepare() one after the other.
class PhaseLines {
 public:
  void show(const char* phase, uint64_t done, uint64_t total) {
    if (phase != phase_) {
      finish();
      phase_ = phase;
      line_.emplace(phase, static_cast<double>(total), "");
    }
    line_->set(static_cast<double>(done));
  }
  void finish() {
    if (line_) line_->finish();
    line_.reset();
  }

 private:
  std::string phase_;
  std::optional<PhaseProgress> line_;
};

}  // namespace

void add_prepare_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<PrepareOptions>();
  auto split = std::make_shared<std::string>("random");
  auto rating = std::make_shared<double>();
  CLI::App* const command =
      app.add_subcommand("prepare", "Read raw files (TSV, CSV, JSONL, MovieLens, Amazon, Yelp) into a corpus");
  command->add_option("--input", options->input, "Folder with the raw files")->required();
  command->add_option("--output", options->output, "The corpus to write")->required();
  command->add_flag("--overwrite", options->overwrite, "Replace an existing corpus");
  const std::map<std::string, InputFormat> formats{{"auto", InputFormat::kAuto},
                                                   {"tsv", InputFormat::kTsv},
                                                   {"csv", InputFormat::kCsv},
                                                   {"jsonl", InputFormat::kJsonl},
                                                   {"movielens", InputFormat::kMovieLens},
                                                   {"amazon", InputFormat::kAmazon},
                                                   {"yelp", InputFormat::kYelp}};
  command->add_option("--format", options->source.format, "auto | tsv | csv | jsonl | movielens | amazon | yelp")
      ->transform(CLI::CheckedTransformer(formats).description("name"));
  const std::map<std::string, UserTexts> user_texts{
      {"auto", UserTexts::kAuto}, {"yes", UserTexts::kYes}, {"no", UserTexts::kNo}};
  command
      ->add_option("--user-texts", options->source.user_texts,
                   "Is the second column of the users file a text? auto | yes | no")
      ->transform(CLI::CheckedTransformer(user_texts).description("name"));
  command->add_option("--texts", options->source.texts, "File of texts about pairs (user, item, text)");
  const CLI::Option* const threshold =
      command->add_option("--rating-threshold", *rating, "Keep interactions rated at least this");
  command->add_option("--k-core", options->k_core, "Keep users and items with at least so many interactions")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--min-history", options->min_history, "Keep users with at least so many interactions")
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--split", *split,
                   "random (80/10/10 per user) | leave-last-out | a file with the columns user, item, part")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of the split and of the order of internal ids")->capture_default_str();
  CLI::Option* const tokenizer =
      command->add_option("--tokenizer", options->tokenizer, "Folder with Hugging Face tokenizer files");
  command->add_option("--train-tokenizer", options->train_tokenizer, "Train a byte-level BPE of this size on the texts")
      ->excludes(tokenizer)
      ->check(CLI::Range(int64_t{257}, int64_t{1} << 31));
  command->add_option("--max-text-tokens", options->max_text_tokens, "Longer texts are cut")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--error-limit", options->error_limit, "Refuse if more than this share of the rows is bad")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_flag("--merge-duplicates", options->merge_duplicates,
                    "Repeated user-item pairs are normal (event logs)");
  command->add_option("--memory", options->memory_bytes, "Memory bound, e.g. 1G")->transform(CLI::AsSizeValue(false));
  command->add_option("--shard-bytes", options->shard_bytes, "Size of one output file, e.g. 64M")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--threads", options->threads, "For tokenisation; 0: all cores")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->callback([=, &context] {
    if (threshold->count() > 0) options->rating_threshold = *rating;
    if (*split == "leave-last-out") {
      options->split = SplitMethod::kLeaveLastOut;
    } else if (*split != "random") {
      options->split = SplitMethod::kFile;
      options->split_file = *split;
    }
    context.action = [options, &context] {
      return context.on_rank_0([&] {
        if (options->tokenizer.empty() && options->train_tokenizer == 0) {
          throw ConfigError(
              "prepare needs a tokenizer: --tokenizer FOLDER (of the backbone), or --train-tokenizer SIZE (257 or "
              "more)");
        }
        if (options->split == SplitMethod::kFile && !std::filesystem::exists(options->split_file)) {
          throw ConfigError("--split " + options->split_file.string() +
                            ": no such file; expected random, leave-last-out, or a file of user, item, part");
        }
        PhaseLines lines;
        options->progress = [&](const char* phase, uint64_t done, uint64_t total) { lines.show(phase, done, total); };
        const PrepareReport report = prepare(*options);
        lines.finish();
        std::fputs(describe(report).c_str(), stdout);
      });
    };
  });
}

}  // namespace cllm
