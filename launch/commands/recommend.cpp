#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "launch/commands/run_use.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/failures/exit_codes.h"
#include "model/evaluation/queries.h"

namespace cllm {
namespace {

struct RecommendArguments {
  RunArguments run;
  std::string users = "all", output = "recommendations.jsonl";
  int64_t k = 20;
  bool overwrite = false, strict = false;

  /// Standard output is "-"; the ranks' parts lie in the run folder then.
  std::string file() const { return output == "-" ? run.dir + "/-" : output; }
};

struct AskedUsers {
  std::vector<int64_t> users;
  int64_t unknown = 0;
  std::string first_unknown;  // "users.txt:3: user "x""
};

/// One raw id per line. With `strict` an unknown one is refused with its line.
AskedUsers read_users(const std::string& path, const Corpus& corpus, bool strict) {
  std::ifstream in(path);
  if (!in)
    throw ConfigError("--users " + path + ": cannot be read; name a file with one raw user id per line, or 'all'");
  AskedUsers asked;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const auto user = corpus.find_user(line);
    if (user) {
      asked.users.push_back(*user);
      continue;
    }
    const std::string where = path + ":" + std::to_string(number) + ": user \"" + line + "\"";
    if (strict) throw ConfigError(where + " is not in the corpus; remove the line, or leave --strict away");
    if (asked.unknown++ == 0) asked.first_unknown = where;
  }
  if (asked.users.empty() && asked.unknown > 0) {
    throw ConfigError(asked.first_unknown + " and all others are not in the corpus: " + std::to_string(asked.unknown) +
                      " unknown users; --users wants raw ids, as the input of prepare has them");
  }
  return asked;
}

/// This rank's contiguous share: files of the ranks joined in rank order keep the order of the input.
std::vector<int64_t> share_of(const std::vector<int64_t>& users, const Communicator& comm) {
  const RowPartition partition(static_cast<int64_t>(users.size()), comm.world_size());
  return {users.begin() + partition.begin(comm.rank()), users.begin() + partition.end(comm.rank())};
}

int recommend(CommandContext& context, const RecommendArguments& arguments) {
  const OpenRun run = open_run(context, arguments.run);
  Workspace& workspace = *run.workspace;
  require_ranking(workspace);
  const Corpus& corpus = workspace.corpus;
  std::vector<int64_t> users;
  AskedUsers asked;
  std::ofstream out;
  collectively(*run.world, [&] {
    if (arguments.users == "all") {
      for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) users.push_back(user);
      std::sort(users.begin(), users.end(),
                [&](int64_t a, int64_t b) { return corpus.user_input_order(a) < corpus.user_input_order(b); });
    } else {
      asked = read_users(arguments.users, corpus, arguments.strict);
      users = asked.users;
    }
    require_new(arguments.file(), arguments.overwrite || arguments.output == "-");
    out.open(part_path(*run.world, arguments.file()), std::ios::binary | std::ios::trunc);
    if (!out) throw ConfigError("cannot write " + arguments.output + ": choose another --output");
  });
  const auto mine = share_of(users, *run.world);
  const RankingOptions options{.k = arguments.k,
                               .history = workspace.config.evaluation.history_at_test,
                               .mask = Mask::kEverything,
                               .batch_users = workspace.config.evaluation.batch_users};
  const auto sink = [&](const RankingQuery& query, const std::vector<ScoredItem>& ranked) {
    nlohmann::ordered_json items = nlohmann::ordered_json::array();
    for (const ScoredItem& scored : ranked)
      items.push_back({{"item", std::string(corpus.item_raw_id(scored.item))}, {"score", scored.score}});
    const nlohmann::ordered_json record{{"user", std::string(corpus.user_raw_id(query.user))}, {"items", items}};
    out << record.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  };
  rank_users(*workspace.model, corpus, *run.world, mine, options, sink);
  out.close();
  join_parts(*run.world, arguments.file());
  if (asked.unknown > 0)
    context.log.warn(std::to_string(asked.unknown) + " unknown users are left out, the first: " + asked.first_unknown);
  context.log.info("wrote the best " + std::to_string(arguments.k) + " items of " + std::to_string(users.size()) +
                   " users to " + (arguments.output == "-" ? "standard output" : arguments.output));
  return kDone;
}

}  // namespace

void add_recommend_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<RecommendArguments>();
  CLI::App* const command =
      app.add_subcommand("recommend", "Write every user's best items, without those already interacted with");
  add_run_arguments(*command, arguments->run);
  command->add_option("--users", arguments->users, "File with one raw user id per line, or all")->capture_default_str();
  command->add_option("--k,-k", arguments->k, "Items per user")->check(CLI::PositiveNumber)->capture_default_str();
  command->add_flag("--strict", arguments->strict,
                    "Refuse users that are not in the corpus, instead of leaving them out");
  command->add_option("--output,-o", arguments->output, "JSONL file; -: standard output")->capture_default_str();
  command->add_flag("--overwrite", arguments->overwrite, "Replace the file if it exists");
  command->callback([=, &context] { context.action = [=, &context] { return recommend(context, *arguments); }; });
}

}  // namespace cllm
