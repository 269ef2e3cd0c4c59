#include "model/recommenders/user_model.h"

#include <algorithm>

#include "model/errors.h"
#include "model/evaluation/scoring.h"

namespace cllm {
namespace {

const Corpus& trainable(const OpenArguments& arguments, std::string_view name) {
  if (arguments.run.precision == at::kBFloat16) {
    throw ModelError("run.precision = \"bf16\": " + std::string(name) +
                     " computes in fp32 or fp64; set run.precision = \"fp32\"");
  }
  return arguments.corpus;
}

}  // namespace

UserModel::UserModel(const OpenArguments& arguments, const Training& training)
    : corpus_(trainable(arguments, training.name)), channels_(arguments.channels), levels_(arguments.levels),
      users_(corpus_, training.users), program_(program_of_epochs("users", users_.num_steps(), training.epochs)),
      optimizer_(make_row_optimizer(training.rows)) {}

void UserModel::reset_optimizer() {
  const Store all = store();
  for (const NamedTable& named : all.tables) optimizer_->reset(*named.table);
  for (const NamedDense& named : all.dense) named.adam->reset();
}

void UserModel::rehearse() {
  if (program_.num_steps() == 0) return;
  StepRef largest;
  int64_t most = -1;
  for (int64_t step = 0; step < users_.num_steps(); ++step) {
    int64_t items = 0;
    for (const SampledUser& sample : users_.batch({.step = step})) items += training_length(corpus_, sample.user);
    if (items > most) largest.step = step;
    most = std::max(most, items);
  }
  const auto still = make_row_optimizer({.name = "sgd"});  // owes no row an update, and is not asked for one
  practise(*input(largest), *still);
}

std::vector<std::vector<ScoredItem>> UserModel::lists_of(const Table& items, const at::Tensor& hidden_bD,
                                                         std::span<const RankingQuery> queries, int64_t k) const {
  std::vector<std::vector<int32_t>> masked;
  for (const RankingQuery& query : queries) masked.push_back(query.masked);
  const at::Tensor rows = items.items().to(items.compute_dtype());
  return ItemScorer(channels_.world, items.layout.items(), rows).top_items(hidden_bD, masked, k);
}

Table placed(Table table, const OpenArguments& arguments) {
  if (arguments.run.bf16_tables) round_to_bf16(table);
  move_table(table, arguments.device);
  return table;
}

}  // namespace cllm
