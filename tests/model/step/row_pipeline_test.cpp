#include "model/step/row_pipeline.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <mutex>

#include "model/step/dense_gradients.h"
#include "model/tables/dense_adam.h"
#include "tests/model/tensors.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

namespace pipeline {

constexpr int64_t kRows = 7, kColumns = 3;

at::Tensor start() { return testing::normal({kRows, kColumns}, 5); }

Table table_of(const Communicator& comm, const RowOptimizer& optimizer) {
  const at::Tensor rows = start();
  Table table = make_table(RowLayout(0, kRows, comm.rank(), comm.world_size()), rows.narrow(0, 0, 0), rows);
  optimizer.reset(table);
  return table;
}

/// What a rank asks for in a step, with repetitions; nothing in some.
std::vector<int32_t> asked(int rank, int step) {
  std::vector<int32_t> rows;
  CounterRng random(stream_key(1, Purpose::kDemoData, static_cast<uint64_t>(rank), static_cast<uint64_t>(step)));
  for (int n = 0; n < (rank + 2 * step) % 4; ++n) rows.push_back(static_cast<int32_t>(random.below(kRows - 2)));
  return rows;
}

/// The gradient that every distinct row of a rank gets in a step, and that of all items.
double of_row(int rank, int step, int64_t row) { return 0.1 * (rank + 1) + step - 0.3 * static_cast<double>(row); }
at::Tensor of_head(int step) { return testing::normal({kRows, kColumns}, static_cast<uint64_t>(100 + step)); }

/// The same steps by dense Adam on the whole table.
at::Tensor dense_training(int world_size, int steps, bool head) {
  const at::Tensor w = start().requires_grad_(true);
  DenseAdam adam({{"w", w}});
  for (int step = 0; step < steps; ++step) {
    at::Tensor gradient = head ? of_head(step) : at::zeros({kRows, kColumns}, at::kDouble);
    for (int rank = 0; rank < world_size; ++rank) {
      auto rows = asked(rank, step);
      std::sort(rows.begin(), rows.end());
      rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
      for (const int32_t row : rows) gradient[row] += of_row(rank, step, row);
    }
    w.mutable_grad() = gradient;
    adam.step(0.01);
  }
  return w.detach();
}

void pipeline_training(Communicator& comm, int steps, bool head, const at::Tensor& out) {
  const auto adam = make_row_optimizer({.name = "adam"});
  Table table = table_of(comm, *adam);
  RowPipeline pipeline(comm, table, *adam);
  const RowPartition& items = table.layout.items();
  for (int step = 0; step < steps; ++step) {
    TakenRows taken = pipeline.take(asked(comm.rank(), step), [] {});
    if (head) pipeline.catch_up_items([] {});
    at::Tensor gradients = at::zeros_like(taken.rows_UD);
    for (int64_t u = 0; u < gradients.size(0); ++u)
      gradients[u] += of_row(comm.rank(), step, taken.route.unique_rows_U[u].item<int64_t>());
    const at::Tensor of_items =
        head ? of_head(step).narrow(0, items.begin(comm.rank()), table.layout.num_local_items()).contiguous()
             : at::Tensor();
    pipeline.give_back(std::move(taken), gradients, of_items);
    pipeline.settle(0.01, [] {});
  }
  pipeline.flush([] {});
  out.narrow(0, items.begin(comm.rank()), table.layout.num_local_items()).copy_(table.weight);
}

TEST(RowPipeline, TrainsAsDenseAdamOnTheWholeTableForAnyNumberOfRanks) {
  constexpr int kSteps = 6;
  for (const bool head : {false, true}) {
    for (const int R : {1, 2, 3, 4, 9}) {  // of 9 ranks two have no row
      const at::Tensor out = at::zeros({kRows, kColumns}, at::kDouble);
      testing::run_ranks(R, [&](Communicator& comm) { pipeline_training(comm, kSteps, head, out); });
      EXPECT_LT(testing::gap(out, dense_training(R, kSteps, head)), 1e-12) << R << " ranks, head " << head;
    }
  }
}

TEST(RowPipeline, AskedRowsAreTheOwnersRowsInTheOrderOfTheQuestion) {
  testing::run_ranks(3, [&](Communicator& comm) {
    const auto sgd = make_row_optimizer({.name = "sgd"});
    Table table = table_of(comm, *sgd);
    RowPipeline pipeline(comm, table, *sgd);
    const std::vector<int32_t> rows{6, 0, 6, static_cast<int32_t>(comm.rank())};
    const TakenRows taken = pipeline.take(rows, [] {});
    for (int64_t n = 0; n < 4; ++n)
      EXPECT_EQ(testing::gap(taken.rows_UD[taken.route.inverse_T[n].item<int64_t>()], start()[rows[n]]), 0);
  });
}

/// The same steps; `ahead`: each announces the rows of the next.
at::Tensor announced_training(const char* optimizer, bool head, bool ahead) {
  constexpr int kSteps = 5;
  const at::Tensor out = at::zeros({kRows, kColumns}, at::kDouble);
  testing::run_ranks(3, [&](Communicator& comm) {
    const auto rule = make_row_optimizer({.name = optimizer});
    Table table = table_of(comm, *rule);
    RowPipeline pipeline(comm, table, *rule);
    for (int step = 0; step < kSteps; ++step) {
      TakenRows taken = pipeline.take(asked(comm.rank(), step), [] {});
      if (head) pipeline.catch_up_items([] {});
      if (ahead && step + 1 < kSteps) pipeline.announce(pipeline.ask(asked(comm.rank(), step + 1)));
      const at::Tensor gradients = taken.rows_UD * 0.3;
      pipeline.give_back(std::move(taken), gradients, head ? table.items() * 0.1 : at::Tensor());
      pipeline.settle(0.01, [] {});
    }
    pipeline.flush([] {});
    out.narrow(0, table.layout.items().begin(comm.rank()), table.layout.num_local_items()).copy_(table.weight);
  });
  return out;
}

TEST(RowPipeline, AnnouncedRowsChangeNoBit) {
  for (const char* optimizer : {"adam", "lazy_adam", "sgd"}) {
    for (const bool head : {false, true}) {
      const at::Tensor want = announced_training(optimizer, head, false);
      EXPECT_GT(testing::gap(want, start()), 0);
      EXPECT_EQ(testing::gap(announced_training(optimizer, head, true), want), 0) << optimizer << ", head " << head;
    }
  }
}

TEST(RowPipeline, OtherRowsThanTheAnnouncedOnesAreAnError) {
  testing::run_ranks(1, [&](Communicator& comm) {
    const auto sgd = make_row_optimizer({.name = "sgd"});
    Table table = table_of(comm, *sgd);
    RowPipeline pipeline(comm, table, *sgd);
    pipeline.announce(pipeline.ask({2, 3}));
    EXPECT_THROW(pipeline.take(std::vector<int32_t>{3, 2}, [] {}), c10::Error);
  });
}

TEST(RowPipeline, APullMovesItsRowsTowardsTheOtherTable) {
  testing::run_ranks(2, [&](Communicator& comm) {
    const auto sgd = make_row_optimizer({.name = "sgd"});
    Table table = table_of(comm, *sgd);
    RowPipeline pipeline(comm, table, *sgd);
    std::vector<int32_t> rows;  // all of this rank's, asked by itself
    for (int64_t local = 0; local < table.layout.num_local_rows(); ++local)
      rows.push_back(static_cast<int32_t>(table.layout.global(local)));
    TakenRows taken = pipeline.take(rows, [] {});
    EXPECT_TRUE(pipeline.moves(std::vector<int64_t>{1, 2}));
    const at::Tensor gradients = at::zeros_like(taken.rows_UD), before = table.weight.clone();
    pipeline.give_back(std::move(taken), gradients);
    const at::Tensor fixed = at::full_like(before, 5.0), pulled = at::tensor({1, 2}, at::kLong);
    pipeline.pull({pulled, at::tensor({0.5, 2.0}, at::kDouble), fixed});
    pipeline.settle(0.1, [] {});
    at::Tensor want = before.clone();
    want[1] -= 0.1 * 0.5 * (before[1] - fixed[1]);
    want[2] -= 0.1 * 2.0 * (before[2] - fixed[2]);
    EXPECT_LT(testing::gap(table.weight, want), 1e-14);
  });
}

TEST(RowPipeline, CollectGivesTheGradientAndChangesNothing) {
  testing::run_ranks(1, [&](Communicator& comm) {
    const auto sgd = make_row_optimizer({.name = "sgd"});
    Table table = table_of(comm, *sgd);
    RowPipeline pipeline(comm, table, *sgd);
    TakenRows taken = pipeline.take(std::vector<int32_t>{4, 1}, [] {});
    const at::Tensor gradients = at::arange(6, at::kDouble).view({2, 3});
    pipeline.give_back(std::move(taken), gradients);
    EXPECT_TRUE(pipeline.unsettled());
    const kernels::RowGradient gradient = pipeline.collect();
    EXPECT_FALSE(pipeline.unsettled());
    EXPECT_EQ(testing::gap(gradient.parts_PD, gradients), 0);
    EXPECT_TRUE(at::equal(gradient.rows_M, at::tensor({1, 4}, at::kLong)));
    EXPECT_EQ(testing::gap(table.weight, start()), 0);
  });
}

TEST(RowPipeline, SaysBeforeItChangesAnythingAndWhatWasNotFinite) {
  testing::run_ranks(1, [&](Communicator& comm) {
    const auto sgd = make_row_optimizer({.name = "sgd"});
    Table table = table_of(comm, *sgd);
    RowPipeline pipeline(comm, table, *sgd);
    bool told = false;
    const std::vector<int32_t> rows{2};
    TakenRows taken = pipeline.take(rows, [&] { told = true; });
    const at::Tensor gradient = at::full_like(taken.rows_UD, std::numeric_limits<double>::infinity());
    pipeline.give_back(std::move(taken), gradient);
    EXPECT_FALSE(told);
    const at::Tensor sum = pipeline.settle(1, [&] {
      told = true;
      EXPECT_EQ(testing::gap(table.weight, start()), 0);
    });
    EXPECT_TRUE(told);
    EXPECT_FALSE(is_finite(sum));
  });
}

TEST(DenseGradients, AreSummedAndARankWithoutGradientCountsAsZeros) {
  testing::run_ranks(3, [&](Communicator& comm) {
    const at::Tensor a = at::zeros({2, 2}, at::kDouble).requires_grad_(true), b = at::zeros({3}, at::kDouble);
    if (comm.rank() != 1) a.mutable_grad() = at::full({2, 2}, comm.rank() + 1.0, at::kDouble);
    if (comm.rank() == 2) b.mutable_grad() = at::arange(3, at::kDouble);
    EXPECT_TRUE(sum_dense_gradients(comm, {{"a", a}, {"b", b}}));
    EXPECT_EQ(testing::gap(a.grad(), at::full({2, 2}, 4.0, at::kDouble)), 0);
    EXPECT_EQ(testing::gap(b.grad(), at::arange(3, at::kDouble)), 0);
    if (comm.rank() == 0) b.mutable_grad()[1] = std::numeric_limits<double>::quiet_NaN();
    EXPECT_FALSE(sum_dense_gradients(comm, {{"a", a}, {"b", b}}));
  });
}

TEST(DenseAdam, TakesItsBetasAndStartsAfreshAfterReset) {
  const at::Tensor w = at::zeros({1}, at::kDouble).requires_grad_(true);
  DenseAdam adam({{"w", w}}, 0.9, 0.98);
  for (int round = 0; round < 2; ++round) {
    w.detach().zero_();
    w.mutable_grad() = at::full({1}, 2.0, at::kDouble);
    adam.step(0.5);
    EXPECT_NEAR(adam.state()[2].second.item<double>(), 0.02 * 4, 1e-15);  // v
    EXPECT_NEAR(w.item<double>(), -0.5, 1e-8);
    adam.reset();
    EXPECT_EQ(adam.num_steps(), 0);
  }
}

}  // namespace pipeline
}  // namespace
}  // namespace cllm
