#include "model/recommenders/closed_form/ease.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <optional>

#include "model/recommenders/closed_form/gram.h"
#include "model/recommenders/closed_form/history_scores.h"
#include "model/recommenders/closed_form/inverse.h"
#include "model/recommenders/closed_form/memory.h"

namespace cllm {

void EaseOptions::describe(Settings& settings) {
  settings.push_back(
      {"ease.lambda", &lambda, "ridge: 50 to 500 on small sets, 200 to 1000 on large ones", at_least(1e-6)});
  settings.push_back({"ease.memory_gib", &memory_gib,
                      "memory that the ranks of a host may take together; 0: what the host has available", at_least(0),
                      false, false});
}

std::vector<SearchKey> EaseOptions::search_space() const {
  return {{.key = "ease.lambda", .min = 1, .max = 2000, .log = true}};
}

at::Tensor inverse_gram(const Corpus& corpus, Communicator& comm, const RowPartition& items, double ridge,
                        const std::function<void(const std::function<void()>&)>& agreed, UserFold without) {
  std::optional<ItemUsers> users;
  agreed([&] { users.emplace(corpus, items.begin(comm.rank()), items.end(comm.rank()), without); });
  at::Tensor gram = gather_on_first_rank(
      comm, items, [&](int64_t item, std::span<double> row) { add_gram_row(corpus, *users, item, row); });
  users.reset();
  agreed([&] {
    if (comm.rank() != 0) return;
    gram.diagonal().add_(ridge);
    gram = inverse_of_positive(std::move(gram));
  });
  return gram;
}

double of_first_rank(Communicator& comm, double value) {
  at::Tensor shared = at::full({1}, value, at::kDouble);
  comm.broadcast(shared, 0);
  return shared.const_data_ptr<double>()[0];
}

Ease::Ease(const EaseOptions& options, const OpenArguments& arguments)
    : ClosedForm("ease", arguments), options_(options) {
  const int64_t J = num_items(), in_flight = 8 * std::min(kRowsInFlight, J) * J;
  const int64_t of_first = ranks_.comm().rank() == 0 ? 2 * 8 * J * J + in_flight : 0;
  require_memory(arguments, ranks_.comm(),
                 {"ease", J, of_first + 4 * table_.layout.num_local_items() * J, options.memory_gib,
                  "two J x J matrices of 8-byte numbers on rank 0 and 4 J^2 / R for the rows of each rank",
                  "keep fewer items (prepare --k-core), take model.name = \"ials\", or raise ease.memory_gib"});
  make_rows(J, of_first);
}

StepLosses Ease::fit() {
  Communicator& comm = ranks_.comm();
  const at::Tensor P =
      inverse_gram(corpus_, comm, items(), options_.lambda, [this](const auto& work) { agreed(work); });
  const at::Tensor diagonal = comm.rank() == 0 ? P.diagonal().clone() : at::Tensor();
  hand_out_rows(
      comm, items(),
      [&](int64_t first, int64_t n) {
        at::Tensor rows = P.narrow(0, first, n).div(diagonal).neg_();
        rows.diagonal(first).zero_();
        return rows.to(at::kFloat);
      },
      table_.weight);
  double least = 0;
  if (comm.rank() == 0) least = (diagonal.reciprocal() - options_.lambda).sum().item<double>();
  const double loss = of_first_rank(comm, least / static_cast<double>(num_users()));
  return {.loss = loss, .terms = {{"objective", loss}}};
}

double Ease::flops(const StepInput&, const StepSettings&) const {
  const auto J = static_cast<double>(num_items());
  return gram_flops() + (ranks_.comm().rank() == 0 ? J * J * J : 0);
}

std::vector<std::vector<ScoredItem>> Ease::top_items(std::span<const RankingQuery> queries, int64_t k) {
  return top_items_of_histories(ranks_, table_, queries, k, 1, default_rows_at_a_time(num_items()));
}

Model ease_model() {
  return {.name = "ease",
          .summary = "linear item-item model in closed form (EASE^R)",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<EaseOptions>(); },
          .open = [](const ModelOptions& options, const OpenArguments& arguments) -> std::unique_ptr<Recommender> {
            return std::make_unique<Ease>(dynamic_cast<const EaseOptions&>(options), arguments);
          },
          .closed_form = true};
}

}  // namespace cllm
