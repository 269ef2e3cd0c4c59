#include "model/evaluation/evaluate.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>

#include "model/errors.h"

namespace cllm {
namespace {

void check(const EvaluationOptions& options) {
  if (options.part == Part::kTrain) throw std::invalid_argument("evaluate: training items are not held out");
  if (options.part == Part::kValidation && options.history == HistoryMode::kTrainAndValidation) {
    throw OptionError(
        "evaluation on the validation part with history train+validation would feed the items that are to be found; "
        "use history train, or the test part");
  }
}

/// This rank's. Neighbours in id go to different ranks, so that ranks finish together.
std::vector<int64_t> users_of(const Corpus& corpus, Communicator& comm, Part part) {
  std::vector<int64_t> users;
  for (int64_t user = comm.rank(); user < corpus.vocabulary().num_users; user += comm.world_size()) {
    if (corpus.num_items(user, part) > 0) users.push_back(user);
  }
  return users;
}

template <typename T>
std::map<std::string, T> by_name(const std::vector<std::string>& names, const std::vector<T>& values) {
  std::map<std::string, T> out;
  for (size_t n = 0; n < names.size(); ++n) out[names[n]] = values[n];
  return out;
}

const char* name_of(Mask mask) {
  switch (mask) {
    case Mask::kHistory: return "history";
    case Mask::kKnown: return "train and validation";
    case Mask::kEverything: return "all interactions";
    case Mask::kNone: return "nothing";
  }
  return "";
}

}  // namespace

EvaluationResult evaluate(Scorer& scorer, const Corpus& corpus, Communicator& comm, const EvaluationOptions& options,
                          const PerUserSink& per_user) {
  check(options);
  const std::vector<int64_t> users = users_of(corpus, comm, options.part);
  const MetricList of_users = options.metrics.per_user();
  std::optional<ItemCounts> counts;
  if (options.metrics.needs_counts() || options.groups) counts = count_items(corpus);
  const ItemCounts* const known = counts ? &*counts : nullptr;
  MetricMean mean(options.metrics, corpus.vocabulary().num_items, known);
  std::optional<MetricGroups> groups;
  if (options.groups) groups.emplace(options.metrics, *counts);
  UserValues kept;
  const RankingOptions ranking{.k = options.metrics.longest(),
                               .history = options.history,
                               .mask = mask_at(options.part, options.mask),
                               .batch_users = options.batch_users,
                               .leave = options.leave};
  EvaluationResult result;
  result.complete = rank_users(scorer, corpus, comm, users, ranking,
                               [&](const RankingQuery& query, const std::vector<ScoredItem>& ranked) {
                                 std::vector<int32_t> items;
                                 items.reserve(ranked.size());
                                 for (const ScoredItem& scored : ranked) items.push_back(scored.item);
                                 const auto held_out = corpus.items(query.user, options.part);
                                 mean.add(items, held_out);
                                 if (groups) groups->add(query.history.size(), items, held_out);
                                 if (!per_user && options.bootstrap == 0) return;
                                 const std::vector<double> values = of_users.of_user(items, held_out, known);
                                 if (options.bootstrap > 0) kept.add(query.user, values);
                                 if (per_user) per_user(query.user, values);
                               });
  if (!result.complete) return result;
  mean.all_reduce(comm);
  result.values = by_name(options.metrics.names(), mean.values());
  result.num_users = mean.num_users();
  result.left_out = corpus.vocabulary().num_users - result.num_users;
  if (groups) {
    groups->all_reduce(comm);
    result.groups = groups->values();
  }
  if (options.bootstrap > 0) {
    const auto intervals = bootstrap_means(comm, gather(comm, kept), options.bootstrap, options.seed);
    if (!intervals.empty()) result.intervals = by_name(of_users.names(), intervals);
  }
  result.protocol = protocol_line(corpus, options, result.num_users, result.left_out);
  return result;
}

std::string protocol_line(const Corpus& corpus, const EvaluationOptions& options, int64_t num_users, int64_t left_out) {
  const auto manifest = nlohmann::json::parse(corpus.manifest());
  const auto& prepared = manifest.at("options");
  const auto text = [&](const char* key) {
    const auto found = prepared.find(key);
    return found == prepared.end() ? std::string("unknown")
           : found->is_string()    ? found->get<std::string>()
                                   : found->dump();
  };
  std::string out = "split " + text("split") + ", seed " + text("seed") + ", corpus " + corpus.fingerprint() +
                    "; part " + std::string(kPartNames[static_cast<size_t>(options.part)]) + ", fed " +
                    (options.history == HistoryMode::kTrain ? "train" : "train+validation") + ", masked " +
                    name_of(mask_at(options.part, options.mask)) + "; all " +
                    std::to_string(corpus.vocabulary().num_items) + " items ranked; ";
  std::set<const Metric*> named;
  for (const MetricAt& at : options.metrics.all()) {
    if (named.insert(at.metric).second)
      out += std::string(at.metric->name) + ": " + std::string(at.metric->denominator) + "; ";
  }
  return out + std::to_string(num_users) + " users ranked, " + std::to_string(left_out) + " left out (nothing to find)";
}

}  // namespace cllm
