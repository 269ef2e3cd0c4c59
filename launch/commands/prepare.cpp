#include "data/ingest/prepare.h"

#include <CLI/CLI.hpp>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "data/errors.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/reading/separator.h"
#include "data/ingest/time_cut.h"
#include "launch/commands/command_line.h"
#include "launch/commands/number_checks.h"
#include "launch/commands/phase_lines.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

/// "0.8,0.1,0.1"
std::array<double, kNumParts> shares_from(const std::string& text) {
  const std::vector<std::string> pieces = CLI::detail::split(text, ',');
  std::array<double, kNumParts> shares{};
  bool good = pieces.size() == shares.size();
  for (size_t n = 0; good && n < shares.size(); ++n) good = CLI::detail::lexical_cast(pieces[n], shares[n]);
  if (!good) throw ConfigError("--split time:" + text + ": expected three shares, as in time:0.8,0.1,0.1");
  try {
    check_time_shares(shares);
  } catch (const DataError& error) {
    throw ConfigError("--split time:" + text + ": " + error.what());
  }
  return shares;
}

/// The names are all that --help and a refusal show.
template <typename E>
void add_choice(CLI::App& command, const std::string& option, E& target,
                const std::vector<std::pair<std::string, E>>& choices, const std::string& description) {
  std::vector<std::string> names;
  names.reserve(choices.size());
  for (const auto& [name, value] : choices) names.push_back(name);
  const auto choose = [&target, choices](const std::string& chosen) {
    for (const auto& [name, value] : choices) {
      if (name == chosen) target = value;
    }
  };
  command.add_option_function<std::string>(option, choose, description)
      ->check(CLI::IsMember(names))
      ->default_str(names[0]);
}

/// random | leave-last-out | time:TRAIN,VALIDATION,TEST | a file.
void choose_split(const std::string& text, PrepareOptions& options) {
  constexpr std::string_view kTime = "time:";
  if (text == "random") return;
  if (text == "leave-last-out") {
    options.split = SplitMethod::kLeaveLastOut;
  } else if (text.starts_with(kTime)) {
    options.split = SplitMethod::kTime;
    options.time_shares = shares_from(text.substr(kTime.size()));
  } else {
    options.split = SplitMethod::kFile;
    options.split_file = text;
  }
}

/// Layouts and column names, from the tables that read them.
std::string describe_input() {
  std::string out = "Files (all but Parquet also as .gz, .zst, or in a .zip; --format, what is looked for):\n";
  for (const Layout& layout : layouts()) out += "  " + layout.name + ": " + layout.files + "\n";
  std::string kinds;
  for (const FileKind& kind : file_kinds()) kinds += (kinds.empty() ? "" : " ") + kind.extension;
  return out + "Kinds of files: " + kinds + ", and folders of Parquet parts" +
         "\nNames of columns and JSON keys (case, blanks, _ - and . do not matter; --columns names others):\n" +
         describe_columns() + "Times: " + std::string(kMomentForms);
}

void add_layout_options(CLI::App& command, SourceOptions& options, std::string& columns) {
  std::vector<std::pair<std::string, std::string>> formats = {{"auto", "auto"}};
  for (const Layout& layout : layouts()) formats.emplace_back(layout.name, layout.name);
  add_choice<std::string>(command, "--format", options.format, formats, "Layout of the raw files (below)");
  command.add_option(
      "--columns", columns,
      "What columns are called: user=visitor,item=sku,time=when,rating=...; numbers from 1 without a header; "
      "time=none: there is none");
  command.add_option("--encoding", options.reading.encoding,
                     "Of the raw files, as iconv calls it: latin-1, windows-1252, utf-16, gb18030 ...; default: UTF-8");
  command.add_option_function<std::string>(
      "--separator", [&options](const std::string& text) { options.reading.separator = separator_named(text); },
      "Of the fields of raw tables: tab, comma, semicolon, pipe, blanks, ctrl-a, or the characters; default: by the "
      "files");
  command.footer(describe_input());
  add_choice<UserTexts>(command, "--user-texts", options.user_texts,
                        {{"auto", UserTexts::kAuto}, {"yes", UserTexts::kYes}, {"no", UserTexts::kNo}},
                        "Is the second column of the users file a text?");
}

void add_limits(CLI::App& command, PrepareOptions& options) {
  command.add_option("--max-text-tokens", options.max_text_tokens, "Longer texts are cut")
      ->check(kPositive)
      ->capture_default_str();
  command
      .add_option("--error-limit", options.error_limit,
                  "Refuse if more than this share of all rows, or of one file's rows, is bad")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_flag("--strict", options.strict,
                   "End with an error where the audit finds held-out data in the texts that are trained on");
  command.add_flag("--merge-duplicates", options.merge_duplicates, "Repeated user-item pairs are normal (event logs)");
  command.add_option("--memory", options.memory_bytes, "Memory bound, e.g. 1G")->transform(CLI::AsSizeValue(false));
  command.add_option("--shard-bytes", options.shard_bytes, "Size of one output file, e.g. 64M")
      ->transform(CLI::AsSizeValue(false));
  command.add_option("--threads", options.threads, "For tokenisation; 0: all cores")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
}

/// What a corpus that is extended decides.
void refuse_with_extend(const CLI::App& command) {
  if (command.count("--extend") == 0) return;
  for (const char* option :
       {"--train-tokenizer", "--seed", "--rating-threshold", "--max-text-tokens", "--shard-bytes"}) {
    if (command.count(option) > 0)
      throw ConfigError(std::string(option) + " is that of the corpus that --extend names: leave it out");
  }
}

/// Options that are read once all are known.
struct PrepareWords {
  std::string split = "random", columns;
  bool split_given = false, filter_given = false;
};

/// All that the command does once its options are read.
void run_prepare(const PrepareWords& words, PrepareOptions& options) {
  const bool extends = !options.extend.empty();
  options.keep_split = extends && !words.split_given;
  options.keep_filters = extends && !words.filter_given;
  choose_split(words.split, options);
  options.source.columns = column_choices(words.columns);
  if (!extends && options.tokenizer.empty() && options.train_tokenizer == 0) {
    throw ConfigError(
        "prepare needs a tokenizer: --tokenizer FOLDER (of the backbone), or --train-tokenizer SIZE (257 or "
        "more)");
  }
  if (options.split == SplitMethod::kFile && !std::filesystem::exists(options.split_file)) {
    throw ConfigError(
        "--split " + options.split_file.string() +
        ": no such file; expected random, leave-last-out, time:0.8,0.1,0.1, or a file of user, item, part");
  }
  PhaseLines lines;
  options.progress = [&](const char* phase, uint64_t done, uint64_t total) { lines.show(phase, done, total); };
  const PrepareReport report = prepare(options);
  lines.finish();
  std::fputs(describe(report).c_str(), stdout);
}

}  // namespace

void add_prepare_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<PrepareOptions>();
  auto words = std::make_shared<PrepareWords>();
  auto rating = std::make_shared<double>();
  CLI::App* const command =
      app.add_subcommand("prepare", "Read raw files (tables, or public data sets as they come) into a corpus");
  command->add_option("--input", options->input, "Folder with the raw files, a .zip, or one file")->required();
  command->add_option("--output", options->output, "The corpus to write")->required();
  command->add_option(
      "--extend", options->extend,
      "A corpus that the new one begins with: its users and items keep their internal ids, those of the "
      "input come behind; its tokenizer, seed, split, filters and limits hold");
  command->add_flag("--overwrite", options->overwrite, "Replace an existing corpus");
  add_layout_options(*command, options->source, words->columns);
  command->add_option("--texts", options->source.texts, "File of texts about pairs (user, item, text)");
  const CLI::Option* const threshold =
      command->add_option("--rating-threshold", *rating, "Keep interactions rated at least this");
  command->add_option("--k-core", options->k_core, "Keep users and items with at least so many interactions")
      ->check(kNotNegative);
  command->add_option("--min-history", options->min_history, "Keep users with at least so many interactions")
      ->check(kNotNegative);
  command
      ->add_option(
          "--split", words->split,
          "random (80/10/10 per user) | leave-last-out | time:0.8,0.1,0.1 (shares of all interactions in time) | a "
          "file with the columns user, item, part")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of the split and of the order of internal ids")->capture_default_str();
  CLI::Option* const tokenizer = command->add_option("--tokenizer", options->tokenizer,
                                                     "Folder with Hugging Face tokenizer files, or a GGUF file");
  command->add_option("--train-tokenizer", options->train_tokenizer, "Train a byte-level BPE of this size on the texts")
      ->excludes(tokenizer)
      ->check(CLI::Range(int64_t{257}, int64_t{1} << 31));
  add_limits(*command, *options);
  command->callback([=, &context] {
    if (threshold->count() > 0) options->rating_threshold = *rating;
    words->split_given = command->count("--split") > 0;
    words->filter_given = command->count("--k-core") + command->count("--min-history") > 0;
    refuse_with_extend(*command);
    context.action = [options, words, &context] { return context.on_rank_0([&] { run_prepare(*words, *options); }); };
  });
}

}  // namespace cllm
