#include "model/tables/row_optimizer.h"

#include <algorithm>

#include "data/random.h"
#include "model/errors.h"
#include "model/kernels/rows/row_update.h"

namespace cllm {
namespace {

enum class Call { kUpdate, kCatchUp };

/// Of a bf16 table: draws of their own for every update of the table, the same for any world size and however a run was
/// interrupted.
kernels::Rounding rounding_of(const Table& table, Call call) {
  if (table.weight.scalar_type() != at::kBFloat16) return {};
  const RowLayout& layout = table.layout;
  const uint64_t key =
      mix64(table.rounding_seed + 2 * static_cast<uint64_t>(table.step) + (call == Call::kCatchUp ? 1 : 0));
  kernels::Rounding out{.key = std::max<uint64_t>(1, key)};
  TORCH_CHECK(layout.groups().size() <= kernels::Rounding::kMaxGroups, "a bf16 table has at most ",
              kernels::Rounding::kMaxGroups, " groups of rows");
  for (size_t n = 0; n < layout.groups().size(); ++n) {
    out.first[n] = layout.groups()[n].first_local;
    out.shift[n] = layout.groups()[n].shift(layout.rank());
  }
  return out;
}

kernels::RowTensors tensors_of(const Table& table) {
  kernels::RowTensors out{table.weight, {}, table.row_step};
  for (const RowState& state : table.state) out.state.push_back(state.rows);
  return out;
}

std::vector<std::string> known_names() {
  std::vector<std::string> out;
  for (const kernels::RowRule& rule : kernels::row_rules()) out.emplace_back(rule.name);
  return out;
}

/// "adam: …; sgd: …"
std::string known_rules() {
  std::string out;
  for (const kernels::RowRule& rule : kernels::row_rules()) {
    out += (out.empty() ? "" : "; ") + std::string(rule.name) + ": " + std::string(rule.doc);
  }
  return out;
}

/// "a, b or c"
std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (size_t n = 0; n < names.size(); ++n) out += (n == 0 ? "" : n + 1 == names.size() ? " or " : ", ") + names[n];
  return out;
}

}  // namespace

void describe(OptimizerConfig& options, Settings& settings) {
  constexpr double kMaxDecay = 0.999999;  // 1 divides by zero
  settings.insert(settings.end(),
                  {{"optimizer.name", &options.name, known_rules(), one_of(known_names())},
                   {"optimizer.beta1", &options.beta1, "decay of Adam's first moment", between(0, kMaxDecay)},
                   {"optimizer.beta2", &options.beta2, "decay of Adam's second moment", between(0, kMaxDecay)},
                   {"optimizer.epsilon", &options.epsilon, "added to the root of the second moment", at_least(0)}});
}

kernels::RowCall RowOptimizer::call_of(const Table& table) const {
  return {table.learning_rate, config_.beta1, config_.beta2, config_.epsilon, table.step};
}

void RowOptimizer::reset(Table& table) const {
  table.state.clear();
  for (const kernels::StateSpec& spec : rule_.state) {
    const auto sizes = spec.per_row ? std::vector<int64_t>{table.weight.size(0)} : table.weight.sizes().vec();
    table.state.push_back({spec.name, zeros_like_rows(table, sizes, table.compute_dtype())});
  }
  table.row_step = zeros_like_rows(table, {table.weight.size(0)}, at::kInt);
  table.step = 0;
  table.learning_rate = Table::kNoLearningRate;
}

// Missed updates had gradient 0 and the learning rate of the time, Table::learning_rate.
void RowOptimizer::catch_up(Table& table, const at::Tensor& rows_M) const {
  if (!rule_.moves_absent_rows || table.step == 0) return;
  TORCH_CHECK(table.learning_rate >= 0, "a table of step ", table.step,
              " must know the learning rate of its last update");
  kernels::catch_up_rows(rule_, tensors_of(table), rows_M, call_of(table), rounding_of(table, Call::kCatchUp));
}

void RowOptimizer::update(Table& table, const kernels::RowGradient& gradient, double learning_rate) const {
  if (learning_rate != table.learning_rate) flush(table);  // what rows are owed is of the rate until now
  table.learning_rate = learning_rate;
  ++table.step;
  if (!rule_.moves_absent_rows) table.row_step.index_fill_(0, gradient.rows_M, table.step);
  kernels::update_rows(rule_, tensors_of(table), gradient, call_of(table), rounding_of(table, Call::kUpdate));
}

std::unique_ptr<RowOptimizer> make_row_optimizer(const OptimizerConfig& config) {
  if (const kernels::RowRule* rule = kernels::find_row_rule(config.name)) {
    return std::make_unique<RowOptimizer>(*rule, config);
  }
  throw ModelError("optimizer = \"" + config.name + "\" is unknown: choose " + listed(known_names()));
}

}  // namespace cllm
