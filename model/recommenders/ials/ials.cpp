#include "model/recommenders/ials/ials.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/random.h"
#include "dist/rows/gather_rows.h"
#include "model/evaluation/scoring.h"
#include "model/recommenders/closed_form/history_scores.h"

namespace cllm {
namespace {

constexpr int64_t kRowsAtATime = 512, kPairsAtATime = 1 << 16, kGramBlock = 1024;
constexpr uint64_t kStartValues = 2;  // apart from the streams of Side

Program program_of(const IalsOptions& options, int64_t validate_every) {
  std::vector<Segment> segments;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    Segment segment;
    segment.epoch = epoch, segment.num_epochs = options.epochs;
    segment.validate_after = epoch + 1 == options.epochs || (validate_every > 0 && (epoch + 1) % validate_every == 0);
    segment.streams = {{.task = 1, .num_steps = 1}, {.task = 0, .num_steps = 1}};  // of equal streams the last is first
    segments.push_back(std::move(segment));
  }
  return {{"alternate"}, {"users", "items"}, segments};
}

at::Tensor gram_of(const at::Tensor& rows_nD) {
  const at::Tensor rows = rows_nD.to(at::kDouble);
  return at::mm(rows.t(), rows);
}

}  // namespace

void IalsOptions::describe(Settings& settings) {
  settings.push_back({"ials.width", &width, "width of a row", at_least(1)});
  settings.push_back({"ials.epochs", &epochs, "passes over users and items", at_least(1)});
  settings.push_back({"ials.alpha0", &alpha0, "weight of all pairs, observed or not: .003 to 1", at_least(0)});
  settings.push_back({"ials.lambda", &lambda, "ridge: 5e-4 to .05 where nu is 1", at_least(1e-12)});
  settings.push_back(
      {"ials.nu", &nu, "how the ridge grows with the pairs of a row; 0: not (another range of lambda)", between(0, 1)});
  settings.push_back(
      {"ials.std", &std, "deviation of a start row's length: values are N(0, std^2 / width)", at_least(1e-12)});
}

std::vector<SearchKey> IalsOptions::search_space() const {
  return {{.key = "ials.lambda", .min = 5e-4, .max = 0.1, .log = true},
          {.key = "ials.alpha0", .min = 0.003, .max = 1, .log = true},
          {.key = "ials.width", .choices = {"32", "64", "128"}}};
}

Ials::Ials(const IalsOptions& options, const OpenArguments& arguments)
    : corpus_(arguments.corpus), options_(options), ranks_(arguments), agreed_(arguments.agreed),
      program_(program_of(options, arguments.run.validate_every_epochs)) {
  const Vocabulary& sizes = corpus_.vocabulary();
  table_.layout = ranks_.layout(sizes.num_users, sizes.num_items);
  table_.weight = lazy_zeros({table_.layout.num_local_rows(), options.width},
                             arguments.run.precision == at::kDouble ? at::kDouble : at::kFloat);
  fill_items(arguments.run.seed);
  const RowPartition& items = table_.layout.items();
  agreed([&] { item_users_.emplace(corpus_, items.begin(table_.layout.rank()), items.end(table_.layout.rank())); });
}

void Ials::fill_items(uint64_t seed) {
  const double deviation = options_.std / std::sqrt(static_cast<double>(options_.width));
  at::Tensor rows = at::empty({table_.layout.num_local_items(), options_.width}, at::kDouble);
  auto* value = rows.mutable_data_ptr<double>();
  for (int64_t n = 0; n < rows.size(0); ++n) {
    const auto row = static_cast<uint64_t>(table_.layout.global(table_.layout.num_local_users() + n));
    CounterRng random(stream_key(seed, Purpose::kTableInit, kStartValues, row));
    for (int64_t d = 0; d < options_.width; ++d) *value++ = deviation * random.normal();
  }
  table_.items().copy_(rows);
}

void Ials::agreed(const std::function<void()>& work) const {
  if (agreed_) return agreed_(work);
  work();
}

std::span<const int32_t> Ials::observed(Task side, int64_t id) const {
  return side == kUsers ? corpus_.items(id, Part::kTrain) : item_users_->of(id);
}

LeastSquares Ials::problem(Task side, at::Tensor others_DD) const {
  const Task other = side == kUsers ? kItems : kUsers;
  return {std::move(others_DD), options_.alpha0, options_.lambda, options_.nu, partition(other).num_rows()};
}

std::unique_ptr<StepInput> Ials::input(const StepRef& ref) const {
  static_cast<void>(ref);
  return count_training_rows(corpus_, table_.layout.users(), table_.layout.rank());
}

at::Tensor Ials::fetch(RowExchange& exchange, Task side, std::span<const int32_t> ids_T) const {
  const auto first = static_cast<int32_t>(side == kUsers ? 0 : table_.layout.users().num_rows());
  std::vector<int32_t> rows(ids_T.begin(), ids_T.end());
  for (int32_t& row : rows) row += first;
  const Route route = exchange.route(rows);
  return exchange.fetch(route, table_.weight).to(at::kDouble).index_select(0, route.inverse_T);
}

int64_t Ials::num_pairs(Task side, int64_t begin, int64_t end) const {
  int64_t pairs = 0;
  for (int64_t id = begin; id < end; ++id) pairs += std::ssize(observed(side, id));
  return pairs;
}

std::vector<int64_t> Ials::blocks_of(Task side) const {
  const int64_t first = partition(side).begin(table_.layout.rank()), last = partition(side).end(table_.layout.rank());
  std::vector<int64_t> starts{first};
  for (int64_t id = first, pairs = 0; id < last; ++id) {
    pairs += std::ssize(observed(side, id));
    if (id + 1 == last || id + 1 - starts.back() == kRowsAtATime || pairs >= kPairsAtATime)
      starts.push_back(id + 1), pairs = 0;
  }
  const int64_t rounds = largest(ranks_.comm(), std::ssize(starts) - 1);
  starts.resize(static_cast<size_t>(rounds) + 1, last);
  return starts;
}

double Ials::solve_block(RowExchange& exchange, Task side, const LeastSquares& problem, int64_t begin, int64_t end,
                         const at::Tensor& out_nD) const {
  std::vector<int32_t> ids;
  std::vector<int64_t> offsets{0};
  for (int64_t id = begin; id < end; ++id) {
    const auto of_row = observed(side, id);
    ids.insert(ids.end(), of_row.begin(), of_row.end());
    offsets.push_back(std::ssize(ids));
  }
  const at::Tensor fetched = fetch(exchange, side == kUsers ? kItems : kUsers, ids);
  std::vector<double> squares(static_cast<size_t>(end - begin), 0.0);
  agreed([&] {
    at::parallel_for(0, end - begin, 4, [&](int64_t from, int64_t to) {
      for (int64_t n = from; n < to; ++n) {
        const at::Tensor h = fetched.narrow(0, offsets[n], offsets[n + 1] - offsets[n]);
        const at::Tensor row = out_nD.select(0, n);
        row.copy_(solve_row(problem, h));
        squares[n] = (h.mv(row.to(at::kDouble)) - 1).square().sum().item<double>();
      }
    });
  });
  return std::accumulate(squares.begin(), squares.end(), 0.0);
}

Ials::Sums Ials::solve(Task side, const LeastSquares& problem) {
  const int64_t first = partition(side).begin(table_.layout.rank());
  const std::vector<int64_t> starts = blocks_of(side);
  RowExchange exchange = ranks_.exchange(table_.layout);
  const at::Tensor own = rows_of(side);
  Sums sums;
  for (size_t round = 0; round + 1 < starts.size(); ++round) {
    const int64_t begin = starts[round], end = starts[round + 1];
    sums.observed += solve_block(exchange, side, problem, begin, end, own.narrow(0, begin - first, end - begin));
  }
  sums.ridge = ridge_of(side) + ridge_of(side == kUsers ? kItems : kUsers);
  return sums;
}

void Ials::rehearse() {
  table_.weight.mul_(1);  // every row will be written: its memory counts
  RowExchange exchange = ranks_.exchange(table_.layout);
  for (const Task side : {kUsers, kItems}) {
    const std::vector<int64_t> starts = blocks_of(side);
    size_t most = 0;
    for (size_t round = 0; round + 1 < starts.size(); ++round) {
      if (num_pairs(side, starts[round], starts[round + 1]) > num_pairs(side, starts[most], starts[most + 1]))
        most = round;
    }
    if (starts.size() == 1) continue;
    const at::Tensor dropped = at::empty({starts[most + 1] - starts[most], options_.width}, table_.weight.options());
    const at::Tensor others = gram_of(rows_of(side == kUsers ? kItems : kUsers));
    solve_block(exchange, side, problem(side, others), starts[most], starts[most + 1], dropped);
    ridge_of(side);
  }
}

double Ials::flops(const StepInput& input, const StepSettings& settings) const {
  static_cast<void>(input);
  const Task side = settings.ref.task == 0 ? kUsers : kItems;
  const int64_t first = partition(side).begin(table_.layout.rank()), last = partition(side).end(table_.layout.rank());
  const auto pairs = static_cast<double>(num_pairs(side, first, last)), rows = static_cast<double>(last - first);
  const auto D = static_cast<double>(options_.width);
  const auto of_grams = 2 * D * D * static_cast<double>(table_.layout.num_local_rows());
  return of_grams + pairs * (2 * D * D + 3 * D) + rows * (D * D * D / 3 + 2 * D * D);
}

double Ials::ridge_of(Task side) const {
  const LeastSquares scale = problem(side, {});
  const at::Tensor squares = rows_of(side).to(at::kDouble).square().sum(1);
  const int64_t first = partition(side).begin(table_.layout.rank());
  double sum = 0;
  for (int64_t n = 0; n < squares.size(0); ++n)
    sum += scale.ridge(std::ssize(observed(side, first + n))) * squares.const_data_ptr<double>()[n];
  return sum;
}

StepLosses Ials::step(const StepInput& input, const StepSettings& settings, const NextStep* next) {
  static_cast<void>(next);
  settings.before_change();
  const Task side = settings.ref.task == 0 ? kUsers : kItems, other = side == kUsers ? kItems : kUsers;
  at::Tensor others = gram_of(rows_of(other));
  ranks_.comm().all_reduce(others, ReduceOp::kSum);
  const Sums mine = solve(side, problem(side, others));
  ++table_.step;

  const int64_t D = options_.width;
  at::Tensor packed = at::zeros({D * D + 2}, at::kDouble);
  packed.narrow(0, 0, D * D).copy_(gram_of(rows_of(side)).view({D * D}));
  packed.mutable_data_ptr<double>()[D * D] = mine.observed;
  packed.mutable_data_ptr<double>()[D * D + 1] = mine.ridge;
  ranks_.comm().all_reduce(packed, ReduceOp::kSum);
  const auto I = static_cast<double>(corpus_.vocabulary().num_users);
  const double observed = packed.const_data_ptr<double>()[D * D] / I,
               ridge = packed.const_data_ptr<double>()[D * D + 1] / I,
               pairs = (packed.narrow(0, 0, D * D) * others.view({D * D})).sum().item<double>() * options_.alpha0 / I;
  StepLosses losses{.loss = observed + pairs + ridge,
                    .terms = {{"observed", observed}, {"all_pairs", pairs}, {"ridge", ridge}}};
  sum_counts(ranks_.comm(), input, losses);
  return losses;
}

at::Tensor Ials::item_gram() const {
  at::Tensor out = at::zeros({options_.width, options_.width}, at::kDouble);
  for_each_row_block(ranks_.comm(), table_.layout.items(), table_.items(), kGramBlock,
                     [&](const at::Tensor& block, int64_t) { out.add_(gram_of(block)); });
  return out;
}

at::Tensor Ials::query_rows(std::span<const RankingQuery> queries) {
  const LeastSquares users = problem(kUsers, item_gram());
  const auto b = static_cast<int64_t>(queries.size());
  const int64_t rounds = largest(ranks_.comm(), (b + kRowsAtATime - 1) / kRowsAtATime);
  at::Tensor hidden = at::zeros({b, options_.width}, at::kDouble);
  RowExchange exchange = ranks_.exchange(table_.layout);
  for (int64_t round = 0; round < rounds; ++round) {
    const int64_t first = std::min(round * kRowsAtATime, b), last = std::min(first + kRowsAtATime, b);
    std::vector<int32_t> ids;
    for (int64_t n = first; n < last; ++n) ids.insert(ids.end(), queries[n].history.begin(), queries[n].history.end());
    const at::Tensor fetched = fetch(exchange, kItems, ids);
    agreed([&] {
      for (int64_t n = first, from = 0; n < last; from += std::ssize(queries[n++].history))
        hidden.select(0, n).copy_(solve_row(users, fetched.narrow(0, from, std::ssize(queries[n].history))));
    });
  }
  return hidden;
}

std::vector<std::vector<ScoredItem>> Ials::top_items(std::span<const RankingQuery> queries, int64_t k) {
  std::vector<std::vector<int32_t>> masked;
  for (const RankingQuery& query : queries) masked.push_back(query.masked);
  return ItemScorer(ranks_.comm(), table_.layout.items(), table_.items()).top_items(query_rows(queries), masked, k);
}

std::string Ials::describe() const {
  return "ials: rows of " + std::to_string(options_.width) + " for " + std::to_string(corpus_.vocabulary().num_users) +
         " users and " + std::to_string(corpus_.vocabulary().num_items) + " items, " + std::to_string(options_.epochs) +
         " epochs of exact half steps";
}

Model ials_model() {
  return {.name = "ials",
          .summary = "implicit matrix factorisation by alternating least squares",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<IalsOptions>(); },
          .open = [](const ModelOptions& options, const OpenArguments& arguments) -> std::unique_ptr<Recommender> {
            return std::make_unique<Ials>(dynamic_cast<const IalsOptions&>(options), arguments);
          }};
}

}  // namespace cllm
