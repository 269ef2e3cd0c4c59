#include "launch/run/train_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>

#include <gmock/gmock.h>

#include "checkpoints/directory.h"
#include "checkpoints/writer.h"
#include "model/tables/row_optimizer.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

constexpr int64_t kUsers = 5, kItems = 6, kColumns = 3;

/// This rank's rows of a table that `steps` updates have moved.
Table moved_table(const RowOptimizer& optimizer, const Communicator& comm, int64_t steps) {
  Table table = make_random_table(RowLayout(kUsers, kItems, comm.rank(), comm.world_size()), kColumns, at::kFloat,
                                  /*seed=*/4, Side::kCollaborative);
  optimizer.reset(table);
  const at::Tensor rows = at::arange(table.layout.num_local_rows(), at::kLong);
  for (int64_t step = 1; step <= steps; ++step) {
    optimizer.update(table, {rows, table.weight * static_cast<double>(step)}, 1e-2);
  }
  return table;
}

/// Saved by two ranks and read by three: every state of every row optimiser, by its name.
class EveryRowOptimizer : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryRowOptimizer, GoesOnFromACheckpointOfAnotherWorldSizeBitForBit) {
  const ScratchFolder folder("train_state_" + GetParam());
  const auto optimizer = make_row_optimizer({.name = GetParam()});
  std::string metadata;
  run_ranks(2, [&](Communicator& comm) {
    Table table = moved_table(*optimizer, comm, 3);
    const Store store{.tables = {{"l", &table}}};
    TrainState state = view_state(store);
    state.metadata_json = to_metadata({}, store, "digest");
    save(comm, folder.path(), 1, state);
    if (comm.rank() == 0) metadata = state.metadata_json;
  });
  run_ranks(3, [&](Communicator& comm) {
    Table table = moved_table(*optimizer, comm, 0);
    const Store store{.tables = {{"l", &table}}};
    TrainState state = view_state(store);
    load(comm, *find_latest(comm, folder.path(), nullptr), state);
    from_metadata(metadata, store, /*num_stages=*/1, "digest");
    Table want = moved_table(*optimizer, comm, 3);
    for (Table* each : {&table, &want}) {
      const at::Tensor rows = at::arange(each->layout.num_local_rows(), at::kLong);
      optimizer->update(*each, {rows, each->weight * 4.0}, 1e-2);
    }
    EXPECT_TRUE(at::equal(table.weight, want.weight));
    EXPECT_TRUE(at::equal(table.row_step, want.row_step));
    for (const RowState& one : want.state) EXPECT_TRUE(at::equal(table.state_of(one.name), one.rows)) << one.name;
  });
}

std::vector<std::string> all_row_optimizers() {
  std::vector<std::string> out;
  for (const kernels::RowRule& rule : kernels::row_rules()) out.emplace_back(rule.name);
  return out;
}
INSTANTIATE_TEST_SUITE_P(Named, EveryRowOptimizer, ::testing::ValuesIn(all_row_optimizers()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace cllm::testing
