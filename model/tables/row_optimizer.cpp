#include "model/tables/row_optimizer.h"

#include <algorithm>

#include "data/random.h"
#include "model/errors.h"
#include "model/kernels/row_update.h"

namespace cllm {
namespace {

using kernels::RowGradient;

constexpr const char* kMoment1 = "moment1";
constexpr const char* kMoment2 = "moment2";

enum class Call { kUpdate, kCatchUp };

/// Of a bf16 table: draws of their own for every update of the table, the same for any world size and however a run was
/// interrupted.
kernels::Rounding rounding_of(const Table& table, Call call) {
  if (table.weight.scalar_type() != at::kBFloat16) return {};
  const RowLayout& layout = table.layout;
  const uint64_t key =
      mix64(table.rounding_seed + 2 * static_cast<uint64_t>(table.step) + (call == Call::kCatchUp ? 1 : 0));
  return {.key = std::max<uint64_t>(1, key),
          .num_users = layout.num_local_users(),
          .user_shift = layout.users().begin(layout.rank()),
          .item_shift = layout.users().num_rows() + layout.items().begin(layout.rank()) - layout.num_local_users()};
}

/// Dense Adam at the cost of the touched rows. Every row counts its updates (Table::row_step); the ones it missed had
/// gradient 0 and the learning rate of the time, Table::learning_rate, so a change of the rate first flushes the table.
class SkipAwareAdam : public RowOptimizer {
 public:
  explicit SkipAwareAdam(const OptimizerConfig& config) : config_(config) {}

  std::vector<StateSpec> state() const override { return {{kMoment1}, {kMoment2}}; }

  void catch_up(Table& table, const at::Tensor& rows_M) const override {
    if (table.step == 0) return;
    TORCH_CHECK(table.learning_rate >= 0, "a table of step ", table.step,
                " must know the learning rate of its last update");
    kernels::adam_catch_up(table.weight, table.state_of(kMoment1), table.state_of(kMoment2), table.row_step, rows_M,
                           call(table, table.learning_rate), rounding_of(table, Call::kCatchUp));
  }

  void update(Table& table, const RowGradient& gradient, double learning_rate) const override {
    if (learning_rate != table.learning_rate) flush(table);
    table.learning_rate = learning_rate;
    ++table.step;
    kernels::adam_update(table.weight, table.state_of(kMoment1), table.state_of(kMoment2), table.row_step, gradient,
                         call(table, learning_rate), rounding_of(table, Call::kUpdate));
  }

  void flush(Table& table) const override { catch_up(table, /*rows_M=*/at::Tensor()); }
  bool moves_absent_rows() const override { return true; }

 private:
  kernels::AdamCall call(const Table& table, double learning_rate) const {
    return {learning_rate, config_.beta1, config_.beta2, config_.epsilon, table.step};
  }
  OptimizerConfig config_;
};

/// Algorithms that leave absent rows alone.
class LazyOptimizer : public RowOptimizer {
 public:
  void catch_up(Table&, const at::Tensor&) const override {}
  void flush(Table&) const override {}
  bool moves_absent_rows() const override { return false; }
  void update(Table& table, const RowGradient& gradient, double learning_rate) const override {
    table.learning_rate = learning_rate;
    ++table.step;
    table.row_step.index_fill_(0, gradient.rows_M, table.step);
    move(table, gradient);
  }

 protected:
  virtual void move(Table& table, const RowGradient& gradient) const = 0;
};

/// Adam whose moments move only with a gradient; the bias correction counts the updates of the table (as
/// torch.optim.SparseAdam).
class LazyAdam : public LazyOptimizer {
 public:
  explicit LazyAdam(const OptimizerConfig& config) : config_(config) {}

 private:
  std::vector<StateSpec> state() const override { return {{kMoment1}, {kMoment2}}; }
  void move(Table& table, const RowGradient& gradient) const override {
    kernels::adam_update(table.weight, table.state_of(kMoment1), table.state_of(kMoment2), /*row_step=*/at::Tensor(),
                         gradient, {table.learning_rate, config_.beta1, config_.beta2, config_.epsilon, table.step},
                         rounding_of(table, Call::kUpdate));
  }
  OptimizerConfig config_;
};

/// Adagrad with one accumulator per row, 1 / D of Adam's state (Gupta et al. 2014, "Training highly multiclass
/// classifiers").
class RowwiseAdagrad : public LazyOptimizer {
 public:
  explicit RowwiseAdagrad(const OptimizerConfig& config) : epsilon_(config.epsilon) {}

 private:
  std::vector<StateSpec> state() const override { return {{kMoment2, /*per_row=*/true}}; }
  void move(Table& table, const RowGradient& gradient) const override {
    kernels::rowwise_adagrad_update(table.weight, table.state_of(kMoment2), gradient, table.learning_rate, epsilon_,
                                    rounding_of(table, Call::kUpdate));
  }
  double epsilon_;
};

class Sgd : public LazyOptimizer {
  std::vector<StateSpec> state() const override { return {}; }
  void move(Table& table, const RowGradient& gradient) const override {
    kernels::sgd_update(table.weight, gradient, table.learning_rate, rounding_of(table, Call::kUpdate));
  }
};

}  // namespace

void describe(OptimizerConfig& options, Settings& settings) {
  constexpr double kMaxDecay = 0.999999;  // 1 divides by zero
  settings.insert(
      settings.end(),
      {{"optimizer.name", &options.name, "adam: the semantics of dense Adam at the cost of the touched rows",
        one_of({"adam", "lazy_adam", "rowwise_adagrad", "sgd"})},
       {"optimizer.beta1", &options.beta1, "decay of Adam's first moment", between(0, kMaxDecay)},
       {"optimizer.beta2", &options.beta2, "decay of Adam's second moment", between(0, kMaxDecay)},
       {"optimizer.epsilon", &options.epsilon, "added to the root of the second moment", at_least(0)}});
}

void RowOptimizer::reset(Table& table) const {
  table.state.clear();
  for (const StateSpec& spec : state()) {
    const auto sizes = spec.per_row ? std::vector<int64_t>{table.weight.size(0)} : table.weight.sizes().vec();
    table.state.push_back({spec.name, zeros_like_rows(table, sizes, table.compute_dtype())});
  }
  table.row_step = zeros_like_rows(table, {table.weight.size(0)}, at::kInt);
  table.step = 0;
  table.learning_rate = Table::kNoLearningRate;
}

std::unique_ptr<RowOptimizer> make_row_optimizer(const OptimizerConfig& config) {
  if (config.name == "adam") return std::make_unique<SkipAwareAdam>(config);
  if (config.name == "lazy_adam") return std::make_unique<LazyAdam>(config);
  if (config.name == "rowwise_adagrad") return std::make_unique<RowwiseAdagrad>(config);
  if (config.name == "sgd") return std::make_unique<Sgd>();
  throw ModelError("optimizer = \"" + config.name + "\" is unknown: choose adam, lazy_adam, rowwise_adagrad or sgd");
}

}  // namespace cllm
