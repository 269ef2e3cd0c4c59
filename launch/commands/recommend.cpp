#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "launch/commands/added_items.h"
#include "launch/commands/asked_users.h"
#include "launch/commands/number_checks.h"
#include "launch/commands/run_use.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "launch/output/joined_file.h"
#include "model/evaluation/queries.h"

namespace cllm {
namespace {

struct RecommendArguments {
  RunArguments run;
  std::string users = "all", histories, columns, encoding, added_items, only_items, output = "recommendations.jsonl";
  int64_t k = 20;
  bool overwrite = false, strict = false;

  /// How --histories and --add-items are read.
  SourceOptions source() const {
    SourceOptions out;
    out.columns = column_choices(columns);
    out.reading.encoding = encoding;
    return out;
  }
};

/// This rank's contiguous share: files of the ranks joined in rank order keep the order of the input.
template <typename T>
std::span<const T> share_of(const std::vector<T>& all, const Communicator& comm) {
  const RowPartition partition(static_cast<int64_t>(all.size()), comm.world_size());
  return std::span(all).subspan(static_cast<size_t>(partition.begin(comm.rank())),
                                static_cast<size_t>(partition.size(comm.rank())));
}

/// This rank's part of the JSONL file.
class Lists {
 public:
  Lists(JoinedFile& out, const Corpus& corpus) : out_(out), corpus_(corpus) {}
  void write(std::string_view user, const std::vector<ScoredItem>& ranked) {
    nlohmann::ordered_json items = nlohmann::ordered_json::array();
    for (const ScoredItem& scored : ranked)
      items.push_back({{"item", std::string(corpus_.item_raw_id(scored.item))}, {"score", scored.score}});
    const nlohmann::ordered_json record{{"user", std::string(user)}, {"items", items}};
    out_.write(record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }

 private:
  JoinedFile& out_;
  const Corpus& corpus_;
};

/// What is said at the end.
struct Served {
  size_t users = 0;
  std::vector<std::string> warnings;
};

Served serve_users(const OpenRun& run, const RecommendArguments& arguments, const RankingOptions& options,
                   JoinedFile& file) {
  const Corpus& corpus = run.workspace->corpus;
  AskedUsers asked;
  Lists lists(file, corpus);
  collectively(*run.world, [&] {
    if (arguments.users == "all")
      asked.users = users_in_input_order(corpus);
    else
      asked = read_users(arguments.users, corpus, arguments.strict);
  });
  rank_users(*run.workspace->model, corpus, *run.world, share_of(asked.users, *run.world), options,
             [&](const RankingQuery& query, const std::vector<ScoredItem>& ranked) {
               lists.write(corpus.user_raw_id(query.user), ranked);
             });
  Served out{asked.users.size(), {}};
  if (asked.unknown > 0)
    out.warnings = {std::to_string(asked.unknown) + " unknown users are left out, the first: " + asked.first_unknown};
  return out;
}

/// Users that were never seen: their histories are all that is known of them.
Served serve_histories(const OpenRun& run, const RecommendArguments& arguments, const RankingOptions& options,
                       JoinedFile& file) {
  const Corpus& corpus = run.workspace->corpus;
  AskedHistories asked;
  Lists lists(file, corpus);
  collectively(*run.world, [&] {
    const std::string refusal = run.workspace->model->why_no_fold_in();
    if (!refusal.empty()) throw ConfigError("--histories: " + arguments.run.dir + " " + refusal);
    asked = read_histories(arguments.histories, corpus, arguments.source(), arguments.strict);
  });
  const auto keys = share_of(asked.keys, *run.world);
  rank_queries(*run.workspace->model, *run.world, share_of(asked.queries, *run.world), options,
               [&](size_t n, const std::vector<ScoredItem>& ranked) { lists.write(keys[n], ranked); });
  Served out{asked.keys.size(), asked.notes};
  if (asked.unknown_items > 0)
    out.warnings.push_back(std::to_string(asked.unknown_items) +
                           " rows with items that the corpus has not are left out, the first: " + asked.first_unknown);
  if (asked.users_left_out > 0)
    out.warnings.push_back(std::to_string(asked.users_left_out) + " users have no item of the corpus: no list");
  return out;
}

/// The run's corpus with --add-items, beside the output while the lists are made.
class GrownCorpus {
 public:
  GrownCorpus(CommandContext& context, const RecommendArguments& arguments) : is_first_(context.mpi.rank() == 0) {
    const auto world = context.mpi.world();
    dir_ = scratch_name(*world, arguments.output, arguments.run.dir);
    std::string line;
    collectively(*world, [&] {
      const RunFolder folder(arguments.run.dir);
      RunConfig config = folder.load_config();
      const std::string refusal = config.options->why_no_new_items();
      if (!refusal.empty()) throw ConfigError("--add-items: " + arguments.run.dir + " is a run of " + refusal);
      find_paths(config, arguments.run.dir, arguments.run.moved);
      if (!is_first_) return;
      line = write_grown_corpus(config.run.corpus, arguments.added_items, dir_, arguments.source());
    });
    context.log.info(line);
  }
  ~GrownCorpus() {
    std::error_code ignored;
    if (is_first_) std::filesystem::remove_all(dir_, ignored);
  }
  GrownCorpus(const GrownCorpus&) = delete;
  GrownCorpus& operator=(const GrownCorpus&) = delete;

  const std::string& dir() const { return dir_; }

 private:
  std::string dir_;
  bool is_first_;
};

int recommend(CommandContext& context, const RecommendArguments& arguments) {
  for (const auto& [option, value] :
       {std::pair{"--columns", &arguments.columns}, {"--encoding", &arguments.encoding}}) {
    if (!value->empty() && arguments.histories.empty() && arguments.added_items.empty())
      throw ConfigError(std::string(option) + " says how --histories or --add-items is read: give one of them");
  }
  collectively(*context.mpi.world(), [&] {
    require_json_lines("--output", arguments.output);
    if (arguments.output != "-")
      require_new(arguments.output, arguments.overwrite,
                  {arguments.users, arguments.histories, arguments.added_items, arguments.only_items});
  });
  std::optional<GrownCorpus> grown;
  RunArguments opened = arguments.run;
  if (!arguments.added_items.empty()) opened.grown = grown.emplace(context, arguments).dir();
  const OpenRun run = open_run(context, opened);
  const Workspace& workspace = *run.workspace;
  require_ranking(workspace);
  if (!run.best.line.empty()) context.log.info(run.best.line);
  KeptItems kept;
  collectively(*run.world, [&] {
    if (!arguments.only_items.empty()) kept = keep_items(arguments.only_items, workspace.corpus, arguments.strict);
  });
  const RankingOptions options{.k = arguments.k,
                               .history = workspace.config.evaluation.history_at_test,
                               .mask = Mask::kEverything,
                               .left_out = kept.left_out,
                               .batch_users = workspace.config.evaluation.batch_users};
  JoinedFile file(*run.world, arguments.output, arguments.run.dir, "--output");
  Served served = arguments.histories.empty() ? serve_users(run, arguments, options, file)
                                              : serve_histories(run, arguments, options, file);
  if (kept.unknown > 0)
    served.warnings.push_back(std::to_string(kept.unknown) +
                              " items of --only-items are not in the corpus, the first: " + kept.first_unknown);
  file.join();
  if (context.mpi.rank() == 0) {
    for (const std::string& line : served.warnings) context.log.warn(line);
  }
  const int64_t num_items = workspace.corpus.vocabulary().num_items - std::ssize(kept.left_out);
  context.log.info("wrote the best " + std::to_string(std::min(arguments.k, num_items)) + " items of " +
                   std::to_string(served.users) + " users to " +
                   (arguments.output == "-" ? "standard output" : arguments.output));
  return kDone;
}

}  // namespace

void add_recommend_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<RecommendArguments>();
  CLI::App* const command =
      app.add_subcommand("recommend", "Write every user's best items, without those already interacted with");
  add_run_arguments(*command, arguments->run);
  CLI::Option* const users =
      command->add_option("--users", arguments->users, "File with one raw user id per line, or all")
          ->capture_default_str();
  command
      ->add_option("--histories", arguments->histories,
                   "Instead: a table of user, item[, time] in any form that prepare "
                   "reads, of users that need not be in the corpus")
      ->excludes(users);
  command->add_option("--add-items", arguments->added_items,
                      "A table of item and text, as items.csv of prepare: items that the corpus has not take part, "
                      "by their texts (rows.text)");
  command->add_option("--only-items", arguments->only_items,
                      "File with one raw item id per line: lists hold no others");
  command->add_option("--columns", arguments->columns,
                      "What the columns of --histories or --add-items are called, as of prepare");
  command->add_option("--encoding", arguments->encoding, "Of --histories or --add-items, as of prepare");
  command->add_option("--k,-k", arguments->k, "Items per user")->check(kPositive)->capture_default_str();
  command->add_flag("--strict", arguments->strict,
                    "Refuse users and items that are not in the corpus, instead of leaving them out");
  command->add_option("--output,-o", arguments->output, "JSONL file; -: standard output")->capture_default_str();
  command->add_flag("--overwrite", arguments->overwrite, "Replace the file if it exists");
  command->callback([=, &context] { context.action = [=, &context] { return recommend(context, *arguments); }; });
}

}  // namespace cllm
