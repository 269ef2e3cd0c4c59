// Incremental saves: only changed rows are written, and what is loaded is the state of the moment, on any number of
// ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include <fstream>

#include "checkpoints/compare.h"
#include "checkpoints/directory.h"
#include "checkpoints/reshard.h"
#include "checkpoints/row_reader.h"
#include "checkpoints/writer.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/command.h"
#include "tests/support/crash_files.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using std::filesystem::path;
using ::testing::HasSubstr;

bool changes(int64_t global_row, int64_t step) { return (global_row + step) % 4 == 0; }

/// The state of `step` when steps 1, 2, ... changed the rows that changes() names, and all replicated tensors.
TrainState state_at(int64_t step, int rank, int world_size) {
  TrainState state = make_state(0, rank, world_size);
  for (int64_t s = 1; s <= step; ++s) {
    const TrainState of_step = make_state(s, rank, world_size);
    for (size_t n = 0; n < state.tensors.size(); ++n) {
      ShardedTensor& tensor = state.tensors[n];
      for (int64_t row = 0; row < tensor.rows.size(0); ++row) {
        if (changes(tensor.first_row + row, s)) tensor.rows[row].copy_(of_step.tensors[n].rows[row]);
      }
    }
    state.replicated = of_step.replicated;
    state.metadata_json = of_step.metadata_json;
  }
  return state;
}

/// The rows of state_at(step) that changed after step `since`.
TrainState changes_at(int64_t step, int64_t since, int rank, int world_size) {
  TrainState state = state_at(step, rank, world_size);
  state.only_changes = true;
  for (ShardedTensor& tensor : state.tensors) {
    std::vector<int64_t> local, numbers;
    for (int64_t row = 0; row < tensor.rows.size(0); ++row) {
      bool changed = false;
      for (int64_t s = since + 1; s <= step; ++s) changed = changed || changes(tensor.first_row + row, s);
      if (!changed) continue;
      local.push_back(row);
      numbers.push_back(tensor.first_row + row);
    }
    tensor.rows = tensor.rows.index_select(0, at::tensor(local, at::kLong));
    tensor.row_numbers = at::tensor(numbers, at::kLong);
  }
  return state;
}

CheckpointInfo save_whole(const path& parent, int64_t step, int world_size) {
  run_ranks(world_size, [&](Communicator& comm) { save(comm, parent, step, state_at(step, comm.rank(), world_size)); });
  return verify_checkpoint(parent / step_name(step), VerifyLevel::kFull);
}

CheckpointInfo save_changes(const CheckpointInfo& base, int64_t step, int64_t since, int world_size,
                            Files* files = nullptr) {
  const path parent = base.dir.parent_path();
  run_ranks(world_size, [&](Communicator& comm) {
    SaveOptions options;
    options.base = &base;
    options.files = files;
    save(comm, parent, step, changes_at(step, since, comm.rank(), world_size), options);
  });
  return verify_checkpoint(parent / step_name(step), VerifyLevel::kFull);
}

void expect_state_at(const CheckpointInfo& info, int world_size) {
  run_ranks(world_size, [&](Communicator& comm) {
    const TrainState expected = state_at(info.step, comm.rank(), world_size);
    TrainState loaded = zeroed(expected);
    load(comm, info, loaded);
    expect_equal(loaded, expected);
  });
}

TEST(Incremental, LoadsTheStateOfItsStepOnAnyNumberOfRanks) {
  const ScratchFolder folder("inc_load");
  for (const int saved_by : {1, 2, 5}) {
    const path parent = folder.path() / std::to_string(saved_by);
    std::filesystem::create_directories(parent);
    const CheckpointInfo whole = save_whole(parent, 1, saved_by);
    const CheckpointInfo first = save_changes(whole, 2, 1, saved_by);
    const CheckpointInfo second =
        save_changes(first, 3, 1, saved_by);  // on top of an incremental one, relative to the whole one
    EXPECT_EQ(second.manifest->whole_step, 1);
    EXPECT_EQ(second.manifest->shards.size(), 2 * static_cast<size_t>(saved_by));
    for (const int loaded_by : {1, 2, 3, 4}) {
      expect_state_at(first, loaded_by);
      expect_state_at(second, loaded_by);
    }
  }
}

TEST(Incremental, SharesTheFilesOfTheWholeSaveWhichMayThenBeRemoved) {
  const ScratchFolder folder("inc_links");
  const CheckpointInfo whole = save_whole(folder.path(), 1, 2);
  const CheckpointInfo next = save_changes(whole, 2, 1, 2);
  struct stat one {
  }, other{};
  stat((whole.dir / "shard-00000-of-00002.h5").c_str(), &one);
  stat((next.dir / "shard-00000-of-00002.h5").c_str(), &other);
  EXPECT_EQ(one.st_ino, other.st_ino);
  std::filesystem::remove_all(whole.dir);
  expect_state_at(verify_checkpoint(next.dir, VerifyLevel::kFull), 3);
}

TEST(Incremental, ReshardAndDigestSeeTheChangedRows) {
  const ScratchFolder folder("inc_reshard");
  const CheckpointInfo next = save_changes(save_whole(folder.path(), 1, 2), 2, 1, 2);
  const CheckpointInfo made = reshard(next, folder.path() / "again", 3);
  EXPECT_FALSE(made.manifest->incremental());
  expect_state_at(made, 2);
  const path other = folder.path() / "whole";
  std::filesystem::create_directories(other);
  EXPECT_EQ(content_digest(save_whole(other, 2, 4)), content_digest(next));
}

TEST(Incremental, ACrashAtAnyCallLeavesTheOldOrTheNewCheckpoint) {
  for (const bool keep_renames : {false, true}) {
    for (int call = 1; call < 1000; ++call) {
      const ScratchFolder folder("inc_crash");
      const CheckpointInfo whole = save_whole(folder.path(), 1, 2);
      CrashingFiles files(call);
      files.trust(folder.path());
      bool finished = false;
      try {
        save_changes(whole, 2, 1, 2, &files);
        finished = true;
      } catch (const Crash&) {
      } catch (const CommError&) {
      }
      files.lose_power(folder.path(), keep_renames);
      run_ranks(2, [&](Communicator& comm) {
        prepare(comm, folder.path());
        const CheckpointInfo latest = *find_latest(comm, folder.path(), nullptr);
        EXPECT_TRUE(latest.step == 2 || (latest.step == 1 && !finished)) << "call " << call;
        const TrainState expected = state_at(latest.step, comm.rank(), 2);
        TrainState loaded = zeroed(expected);
        load(comm, latest, loaded);
        expect_equal(loaded, expected);
      });
      if (finished) {
        EXPECT_GT(call, 12);
        break;
      }
      ASSERT_LT(call, 900);
    }
  }
}

TEST(Incremental, ADamagedFileOfChangesIsRefusedAndTheWholeSaveIsUsed) {
  const ScratchFolder folder("inc_damage");
  const CheckpointInfo next = save_changes(save_whole(folder.path(), 1, 2), 2, 1, 2);
  std::fstream file(next.dir / "changes-00001-of-00002.h5", std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(3000);
  file.put('\x55');
  file.close();
  run_ranks(2, [&](Communicator& comm) {
    std::vector<Refusal> refused;
    EXPECT_EQ(find_latest(comm, folder.path(), &refused)->step, 1);
    ASSERT_EQ(refused.size(), 1u);
    EXPECT_THAT(refused[0].reason, HasSubstr("changes-00001-of-00002.h5"));
  });
}

TEST(Incremental, RowNumbersThatDoNotRiseAreRefused) {
  const ScratchFolder folder("inc_numbers");
  const CheckpointInfo whole = save_whole(folder.path(), 1, 1);
  for (const std::vector<int64_t>& numbers : {std::vector<int64_t>{5, 3}, {3, 3}, {3, 23}, {-1, 3}}) {
    run_ranks(1, [&](Communicator& comm) {
      SaveOptions options;
      options.base = &whole;
      TrainState state = changes_at(2, 1, 0, 1);
      state.tensors[0].rows = state.tensors[0].rows.narrow(0, 0, 2);
      state.tensors[0].row_numbers = at::tensor(numbers, at::kLong);
      const CheckpointInfo bad = save(comm, folder.path(), 2, state, options);
      TrainState into = zeroed(state_at(2, 0, 1));
      EXPECT_THROW(load(comm, bad, into), CheckpointError) << numbers[0] << " " << numbers[1];
    });
  }
}

TEST(Incremental, ManyRowsAreReadPieceByPiece) {
  const ScratchFolder folder("inc_many");
  constexpr int64_t kRows = 300000;  // several pieces of 65536 row numbers
  const auto rows = [](int64_t first, int64_t count) { return stored_rows(1, 0, first, count, 3, at::kFloat); };
  run_ranks(1, [&](Communicator& comm) {
    TrainState state;
    state.tensors.push_back({"table", kRows, 0, rows(0, kRows)});
    const CheckpointInfo whole = save(comm, folder.path(), 1, state);
    const at::Tensor numbers = at::arange(1, kRows, 2, at::kLong);
    TrainState next;
    next.only_changes = true;
    next.tensors.push_back({"table", kRows, 0, rows(0, kRows).index_select(0, numbers).add(1000), numbers});
    SaveOptions options;
    options.base = &whole;
    const CheckpointInfo info = save(comm, folder.path(), 2, next, options);
    at::Tensor expected = rows(0, kRows);
    expected.index_copy_(0, numbers, next.tensors[0].rows);
    for (const auto& [first, count] :
         std::vector<std::pair<int64_t, int64_t>>{{0, kRows}, {131071, 5}, {262144, 1}, {299999, 1}, {100, 200000}}) {
      TrainState into;
      into.tensors.push_back({"table", kRows, first, at::zeros_like(rows(first, count))});
      load(comm, info, into);
      EXPECT_TRUE(at::equal(into.tensors[0].rows, expected.narrow(0, first, count))) << first;
    }
  });
}

TEST(Incremental, TheWriterSavesWholeEveryNthTime) {
  const ScratchFolder folder("inc_writer");
  run_ranks(2, [&](Communicator& comm) {
    prepare(comm, folder.path());
    CheckpointWriter writer(comm, folder.path(), {.keep_last = 100}, 3);
    int64_t whole_step = -1;
    for (int64_t step = 1; step <= 7; ++step) {
      EXPECT_EQ(writer.next_is_whole(), step % 3 == 1) << step;
      if (writer.next_is_whole()) whole_step = step;
      writer.start(step,
                   whole_step == step ? state_at(step, comm.rank(), 2) : changes_at(step, whole_step, comm.rank(), 2));
    }
    writer.finish();
  });
  for (int64_t step = 1; step <= 7; ++step)
    expect_state_at(verify_checkpoint(folder.path() / step_name(step), VerifyLevel::kFull), 3);
}

TEST(Incremental, RetentionKeepsOneCheckpointThatSharesNoFileWithTheNewest) {
  const ScratchFolder folder("inc_retention");
  CheckpointInfo last = save_whole(folder.path(), 1, 1);
  last = save_whole(folder.path(), 2, 1);
  for (const int64_t step : {3, 4, 5}) last = save_changes(last, step, 2, 1);
  std::vector<int64_t> steps;
  for (const ListedCheckpoint& listed : list_checkpoints(folder.path())) steps.push_back(listed.step);
  EXPECT_EQ(steps, (std::vector<int64_t>{5, 4, 1}));
}

/// How golden/version-2 was written: CLLM_TEST_ARGUMENT=<folder> checkpoints_tests --gtest_also_run_disabled_tests
/// --gtest_filter=Golden.*Write
TEST(Golden, DISABLED_Write) {
  const path parent = program_argument();
  std::filesystem::create_directories(parent);
  run_ranks(2, [&](Communicator& comm) {
    const CheckpointInfo whole = save(comm, parent, 11, make_state(11, comm.rank(), 2));
    TrainState next = make_state(12, comm.rank(), 2);  // all rows of step 12 replace those of step 11
    next.only_changes = true;
    for (ShardedTensor& tensor : next.tensors)
      tensor.row_numbers = at::arange(tensor.first_row, tensor.first_row + tensor.rows.size(0), at::kLong);
    SaveOptions options;
    options.base = &whole;
    save(comm, parent, 12, next, options);
  });
  std::filesystem::remove_all(parent / step_name(11));
}

/// tests/checkpoints/golden/version-<n> was written by the program of that time: make_state(12) by two ranks. It must
/// stay readable.
TEST(Golden, CheckpointsOfEveryFormatVersionLoad) {
  for (int version = 1; version <= kManifestVersion; ++version) {
    const path golden = path(CLLM_SOURCE_DIR) / "tests/checkpoints/golden" / ("version-" + std::to_string(version));
    ASSERT_TRUE(std::filesystem::exists(golden))
        << golden << ": write one with the first program of a new version, and commit it";
    const ScratchFolder folder("golden");
    std::filesystem::copy(golden, folder.path(), std::filesystem::copy_options::recursive);
    for (const int world_size : {1, 2, 3}) {
      run_ranks(world_size, [&](Communicator& comm) {
        std::vector<Refusal> refused;
        const auto latest = find_latest(comm, folder.path(), &refused);
        EXPECT_TRUE(refused.empty());
        ASSERT_TRUE(latest.has_value());
        EXPECT_EQ(latest->step, 12);
        expect_loads(comm, *latest);
      });
    }
  }
}

}  // namespace
}  // namespace cllm::testing
