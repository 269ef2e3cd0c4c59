#pragma once

// A small training state whose every element is a closed form of (step, tensor, global row, column), so that what was
// loaded can be checked without a copy of what was saved.

#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros_like.h>
#include <unistd.h>

#include <filesystem>

#include "checkpoints/checkpoint.h"
#include "checkpoints/format/dtype.h"
#include "dist/row_partition.h"

namespace cllm::testing {

/// [rows, columns] from global row `first_row`; small integers, which all dtypes hold exactly.
inline at::Tensor stored_rows(int64_t step, int64_t tensor, int64_t first_row, int64_t rows, int64_t columns,
                              at::ScalarType type) {
  const at::Tensor row = at::arange(first_row, first_row + rows, at::kLong).mul(5).unsqueeze(1);
  const at::Tensor column = at::arange(columns, at::kLong).mul(3);
  return row.add(column).add(7 * step + 11 * tensor).remainder(type == at::kBool ? 2 : 97).to(type).contiguous();
}

/// The blocks of one rank: a user and an item table, one tensor of every dtype, a tensor without rows, a vector,
/// replicated scalars.
inline TrainState make_state(int64_t step, int rank, int world_size, int64_t num_users = 23, int64_t num_items = 3) {
  TrainState state;
  const auto add = [&](const std::string& name, int64_t rows, int64_t columns, at::ScalarType type) {
    const RowPartition partition(rows, world_size);
    at::Tensor block = stored_rows(step, static_cast<int64_t>(state.tensors.size()), partition.begin(rank),
                                   partition.size(rank), columns, type);
    if (columns == 1) block = block.reshape({-1});
    state.tensors.push_back({name, rows, partition.begin(rank), block});
  };
  add("l_user.weight", num_users, 8, at::kFloat);
  add("l_item.weight", num_items, 8, at::kFloat);
  add("l_user.row_step", num_users, 1, at::kInt);
  add("nobody", 0, 8, at::kFloat);
  for (const DtypeName& dtype : kDtypes) add("type_" + std::string(dtype.name), 10, 4, dtype.type);
  state.replicated.push_back({"backbone.ln_f", stored_rows(step, 50, 0, 6, 5, at::kDouble)});
  state.replicated.push_back({"rng", stored_rows(step, 51, 0, 3, 1, at::kByte)});
  state.metadata_json = "{\"stage\":\"mutual\",\"step\":" + std::to_string(step) + "}";
  return state;
}

inline TrainState zeroed(const TrainState& state) {
  TrainState zero = state;
  for (ShardedTensor& tensor : zero.tensors) tensor.rows = at::zeros_like(tensor.rows);
  for (ReplicatedTensor& tensor : zero.replicated) tensor.value = at::zeros_like(tensor.value);
  zero.metadata_json = "";
  return zero;
}

inline void expect_equal(const TrainState& found, const TrainState& expected) {
  for (size_t n = 0; n < expected.tensors.size(); ++n) {
    EXPECT_TRUE(at::equal(found.tensors[n].rows, expected.tensors[n].rows)) << expected.tensors[n].name;
  }
  for (size_t n = 0; n < expected.replicated.size(); ++n) {
    EXPECT_TRUE(at::equal(found.replicated[n].value, expected.replicated[n].value)) << expected.replicated[n].name;
  }
  EXPECT_EQ(found.metadata_json, expected.metadata_json);
}

/// Loads this rank's blocks and expects the state of `checkpoint`'s step.
inline void expect_loads(Communicator& comm, const CheckpointInfo& checkpoint) {
  const TrainState expected = make_state(checkpoint.step, comm.rank(), comm.world_size());
  TrainState loaded = zeroed(expected);
  load(comm, checkpoint, loaded);
  expect_equal(loaded, expected);
}

/// An empty folder of this process that is removed at the end; in memory if possible, where fsync costs nothing.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& name) {
    const std::filesystem::path memory = "/dev/shm";
    const std::filesystem::path parent =
        std::filesystem::exists(memory) ? memory : std::filesystem::path(::testing::TempDir());
    path_ = parent / ("cllm_test_" + name + "_" + std::to_string(::getpid()));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() { std::filesystem::remove_all(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace cllm::testing
