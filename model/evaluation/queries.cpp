#include "model/evaluation/queries.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <utility>

namespace cllm {
namespace {

std::vector<int32_t> items_of(const Corpus& corpus, int64_t user, std::initializer_list<Part> parts) {
  std::vector<int32_t> out;
  for (const Part part : parts) {
    const auto items = corpus.history(user, part);
    out.insert(out.end(), items.begin(), items.end());
  }
  return out;
}

void leave_out(RankingQuery& query, const std::vector<int32_t>& items) {
  std::vector<int32_t> all;
  std::ranges::set_union(query.masked, items, std::back_inserter(all));
  query.masked = std::move(all);
}

/// Every rank must take part in as many blocks as the busiest has.
int64_t agreed_blocks(Communicator& comm, size_t num_users, int64_t block) {
  at::Tensor blocks = at::tensor({(static_cast<int64_t>(num_users) + block - 1) / block}, at::kLong);
  comm.all_reduce(blocks, ReduceOp::kMax);
  return blocks.item<int64_t>();
}

}  // namespace

std::vector<int32_t> history_of(const Corpus& corpus, int64_t user, HistoryMode mode) {
  if (mode == HistoryMode::kTrain) return items_of(corpus, user, {Part::kTrain});
  return items_of(corpus, user, {Part::kTrain, Part::kValidation});
}

Mask mask_at(Part part, Mask mask) { return part == Part::kValidation && mask == Mask::kKnown ? Mask::kHistory : mask; }

RankingQuery make_query(const Corpus& corpus, int64_t user, HistoryMode history, Mask mask) {
  RankingQuery query{.user = user, .history = history_of(corpus, user, history), .masked = {}};
  switch (mask) {
    case Mask::kHistory: query.masked = query.history; break;
    case Mask::kKnown: query.masked = items_of(corpus, user, {Part::kTrain, Part::kValidation}); break;
    case Mask::kEverything:
      query.masked = items_of(corpus, user, {Part::kTrain, Part::kValidation, Part::kTest});
      break;
    case Mask::kNone: break;
  }
  std::ranges::sort(query.masked);
  return query;
}

ItemCounts count_items(const Corpus& corpus) {
  ItemCounts counts{.users = std::vector<int64_t>(static_cast<size_t>(corpus.vocabulary().num_items)),
                    .num_users = corpus.vocabulary().num_users};
  for (int64_t user = 0; user < counts.num_users; ++user) {
    for (const int32_t item : corpus.items(user, Part::kTrain)) ++counts.users[static_cast<size_t>(item)];
  }
  return counts;
}

bool rank_users(Scorer& scorer, const Corpus& corpus, Communicator& comm, std::span<const int64_t> users,
                const RankingOptions& options, const RankingSink& sink) {
  const int64_t blocks = agreed_blocks(comm, users.size(), options.batch_users);
  for (int64_t n = 0; n < blocks; ++n) {
    if (options.leave && options.leave()) return false;
    const size_t first = std::min(users.size(), static_cast<size_t>(n * options.batch_users));
    const auto mine = users.subspan(first, std::min(users.size() - first, static_cast<size_t>(options.batch_users)));
    std::vector<RankingQuery> queries;
    for (const int64_t user : mine) queries.push_back(make_query(corpus, user, options.history, options.mask));
    if (!options.left_out.empty()) {
      for (RankingQuery& query : queries) leave_out(query, options.left_out);
    }
    const auto ranked = scorer.top_items(queries, options.k);
    for (size_t u = 0; u < queries.size(); ++u) sink(queries[u], ranked.at(u));
  }
  return true;
}

void rank_queries(Scorer& scorer, Communicator& comm, std::span<const RankingQuery> queries,
                  const RankingOptions& options, const QuerySink& sink) {
  const int64_t blocks = agreed_blocks(comm, queries.size(), options.batch_users);
  for (int64_t n = 0; n < blocks; ++n) {
    const size_t first = std::min(queries.size(), static_cast<size_t>(n * options.batch_users));
    const size_t count = std::min(queries.size() - first, static_cast<size_t>(options.batch_users));
    auto block = queries.subspan(first, count);
    std::vector<RankingQuery> asked;
    if (!options.left_out.empty()) {
      asked.assign(block.begin(), block.end());
      for (RankingQuery& query : asked) leave_out(query, options.left_out);
      block = asked;
    }
    const auto ranked = scorer.top_items(block, options.k);
    for (size_t q = 0; q < count; ++q) sink(first + q, ranked.at(q));
  }
}

}  // namespace cllm
