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
  std::string run, users = "all", output = "recommendations.jsonl", device;
  int64_t k = 20;
};

/// One raw id per line; an unknown one is refused with its line.
std::vector<int64_t> read_users(const std::string& path, const Corpus& corpus) {
  std::ifstream in(path);
  if (!in)
    throw ConfigError("--users " + path + ": cannot be read; name a file with one raw user id per line, or 'all'");
  std::vector<int64_t> users;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const auto user = corpus.find_user(line);
    if (!user)
      throw ConfigError(path + ":" + std::to_string(number) + ": user \"" + line +
                        "\" is not in the corpus; remove the line");
    users.push_back(*user);
  }
  return users;
}

/// This rank's contiguous share: files of the ranks joined in rank order keep the order of the input.
std::vector<int64_t> share_of(const std::vector<int64_t>& users, const Communicator& comm) {
  const RowPartition partition(static_cast<int64_t>(users.size()), comm.world_size());
  return {users.begin() + partition.begin(comm.rank()), users.begin() + partition.end(comm.rank())};
}

int recommend(CommandContext& context, const RecommendArguments& arguments) {
  const OpenRun run = open_run(context, arguments.run, arguments.device);
  Workspace& workspace = *run.workspace;
  require_ranking(workspace);
  const Corpus& corpus = workspace.corpus;
  std::vector<int64_t> users;
  std::ofstream out;
  collectively(*run.world, [&] {
    if (arguments.users == "all") {
      for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) users.push_back(user);
      std::sort(users.begin(), users.end(),
                [&](int64_t a, int64_t b) { return corpus.user_input_order(a) < corpus.user_input_order(b); });
    } else {
      users = read_users(arguments.users, corpus);
    }
    out.open(part_path(*run.world, arguments.output), std::ios::binary | std::ios::trunc);
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
  join_parts(*run.world, arguments.output);
  context.log.info("wrote the best " + std::to_string(arguments.k) + " items of " + std::to_string(users.size()) +
                   " users to " + arguments.output);
  return kDone;
}

}  // namespace

void add_recommend_command(CLI::App& app, CommandContext& context) {
  auto arguments = std::make_shared<RecommendArguments>();
  CLI::App* const command =
      app.add_subcommand("recommend", "Write every user's best items, without those already interacted with");
  command->add_option("run", arguments->run, "Run folder")->required();
  command->add_option("--users", arguments->users, "File with one raw user id per line, or all")->capture_default_str();
  command->add_option("--k,-k", arguments->k, "Items per user")->check(CLI::PositiveNumber)->capture_default_str();
  add_device_option(*command, arguments->device);
  command->add_option("--output,-o", arguments->output, "JSONL file")->capture_default_str();
  command->callback([=, &context] { context.action = [=, &context] { return recommend(context, *arguments); }; });
}

}  // namespace cllm
