#include <ATen/ops/equal.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoints/directory.h"
#include "checkpoints/writer.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using std::filesystem::path;
using ::testing::HasSubstr;

void save_step(const path& parent, int world_size, int64_t step, const SaveOptions& options = {}) {
  run_ranks(world_size,
            [&](Communicator& comm) { save(comm, parent, step, make_state(step, comm.rank(), world_size), options); });
}

std::vector<int64_t> steps_in(const path& parent) {
  std::vector<int64_t> steps;
  for (const ListedCheckpoint& listed : list_checkpoints(parent)) steps.push_back(listed.step);
  return steps;
}

TEST(Checkpoint, AnyNumberOfRanksLoadsWhatAnyNumberSaved) {
  const ScratchFolder folder("reshard");
  for (int saved_by = 1; saved_by <= 5; ++saved_by) {  // 3 item rows: some of the 4 and 5 ranks own none
    save_step(folder.path(), saved_by, saved_by);
    for (int loaded_by = 1; loaded_by <= 5; ++loaded_by) {
      run_ranks(loaded_by, [&](Communicator& comm) {
        std::vector<Refusal> refused;
        const std::optional<CheckpointInfo> latest = find_latest(comm, folder.path(), &refused);
        ASSERT_TRUE(latest.has_value());
        EXPECT_EQ(latest->step, saved_by);
        EXPECT_TRUE(refused.empty());
        expect_loads(comm, *latest);
      });
    }
  }
}

TEST(Checkpoint, AChainOfReshardsGivesTheFirstFilesAgain) {
  const ScratchFolder folder("chain");
  save_step(folder.path(), 1, 1);
  path from = folder.path();
  for (const int world_size : {2, 3, 4, 1}) {
    const path to = folder.path() / ("by" + std::to_string(world_size));
    run_ranks(world_size, [&](Communicator& comm) {
      TrainState state = zeroed(make_state(1, comm.rank(), world_size));
      load(comm, *find_latest(comm, from, nullptr), state);
      prepare(comm, to);
      save(comm, to, 1, state);
    });
    from = to;
  }
  const CheckpointInfo first = verify_checkpoint(folder.path() / step_name(1), VerifyLevel::kFull);
  const CheckpointInfo last = verify_checkpoint(from / step_name(1), VerifyLevel::kFull);
  EXPECT_EQ(to_text(*first.manifest), to_text(*last.manifest));  // holds the checksums of all bytes
}

TEST(Checkpoint, LargeTensorsSpanManyChecksumBlocks) {
  const ScratchFolder folder("large");
  const auto state_of = [](int rank, int world_size) {
    const RowPartition partition(400001, world_size);
    TrainState state;
    state.tensors.push_back({"table", 400001, partition.begin(rank),
                             stored_rows(1, 0, partition.begin(rank), partition.size(rank), 16, at::kFloat)});
    return state;
  };
  run_ranks(2, [&](Communicator& comm) { save(comm, folder.path(), 1, state_of(comm.rank(), 2)); });
  run_ranks(3, [&](Communicator& comm) {
    const TrainState expected = state_of(comm.rank(), 3);
    TrainState loaded = zeroed(expected);
    load(comm, *find_latest(comm, folder.path(), nullptr), loaded);
    EXPECT_TRUE(at::equal(loaded.tensors[0].rows, expected.tensors[0].rows));
  });
}

TEST(Checkpoint, NothingIsFoundInAnEmptyOrMissingFolder) {
  const ScratchFolder folder("empty");
  run_ranks(2, [&](Communicator& comm) {
    EXPECT_FALSE(find_latest(comm, folder.path(), nullptr).has_value());
    EXPECT_FALSE(find_latest(comm, folder.path() / "missing", nullptr).has_value());
    EXPECT_FALSE(find_pinned(comm, folder.path(), "best").has_value());
  });
}

TEST(Checkpoint, StepsAreOrderedAsNumbers) {
  const ScratchFolder folder("order");
  for (const int64_t step : {int64_t{9}, int64_t{10}, int64_t{12345678901}})
    save_step(folder.path(), 1, step, {.keep_last = 3});
  EXPECT_EQ(steps_in(folder.path()), (std::vector<int64_t>{12345678901, 10, 9}));
  EXPECT_FALSE(step_of_name("step-10").has_value());
  EXPECT_FALSE(step_of_name("step-0000000010.tmp-run").has_value());
  EXPECT_EQ(step_of_name("step-0000000010"), 10);
}

TEST(Checkpoint, OldStepsGoAndPinnedOnesStay) {
  const ScratchFolder folder("retention");
  save_step(folder.path(), 2, 1, {.pin = "best"});
  for (const int64_t step : {2, 3, 4}) save_step(folder.path(), 2, step, {.keep_last = 1});  // never fewer than 2
  EXPECT_EQ(steps_in(folder.path()), (std::vector<int64_t>{4, 3, 1}));
  run_ranks(2, [&](Communicator& comm) {
    const std::optional<CheckpointInfo> best = find_pinned(comm, folder.path(), "best");
    ASSERT_TRUE(best.has_value());
    expect_loads(comm, *best);
  });
  EXPECT_EQ(list_checkpoints(folder.path()).back().pins, std::vector<std::string>{"best"});
  save_step(folder.path(), 2, 5, {.pin = "best"});
  EXPECT_EQ(steps_in(folder.path()), (std::vector<int64_t>{5, 4}));
}

TEST(Checkpoint, MilestonesStayForEver) {
  const ScratchFolder folder("milestones");
  for (int64_t step = 1; step <= 9; ++step) save_step(folder.path(), 1, step, {.milestone_steps = 3});
  EXPECT_EQ(steps_in(folder.path()), (std::vector<int64_t>{9, 8, 6, 3}));
}

TEST(Checkpoint, PruningNeverNamesPinnedOnesNorTheNewestUsableOne) {
  const ScratchFolder folder("prune");
  save_step(folder.path(), 1, 1, {.keep_last = 9, .pin = "best"});
  for (int64_t step = 2; step <= 6; ++step) save_step(folder.path(), 1, step, {.keep_last = 9});
  std::filesystem::remove(folder.path() / step_name(6) /
                          "shard-00000-of-00001.h5");  // damaged: 5 is the newest that can be used
  const auto steps = [&](const Retention& retention) {
    std::vector<int64_t> out;
    for (const path& dir : superfluous(folder.path(), retention)) out.push_back(*step_of_name(dir.filename()));
    return out;
  };
  EXPECT_EQ(steps({.keep_last = 1}), (std::vector<int64_t>{4, 3, 2}));
  EXPECT_EQ(steps({.keep_last = 0}), (std::vector<int64_t>{4, 3, 2}));
  EXPECT_EQ(steps({.keep_last = 2}), (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(steps({.keep_last = 1, .milestone_steps = 2}), (std::vector<int64_t>{3}));
}

TEST(Checkpoint, SavingAStepAgainReplacesIt) {
  const ScratchFolder folder("again");
  save_step(folder.path(), 2, 1);
  save_step(folder.path(), 3, 1);
  EXPECT_EQ(verify_checkpoint(folder.path() / step_name(1), VerifyLevel::kFull).manifest->shards.size(), 3U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);  // the step and LATEST
}

TEST(Checkpoint, EqualStatesMakeEqualFiles) {
  const ScratchFolder one("equal_one"), two("equal_two");
  save_step(one.path(), 2, 7);
  save_step(two.path(), 2, 7);
  EXPECT_EQ(to_text(*verify_checkpoint(one.path() / step_name(7), VerifyLevel::kFull).manifest),
            to_text(*verify_checkpoint(two.path() / step_name(7), VerifyLevel::kFull).manifest));
}

/// The message of the CheckpointError that `body` throws on the given rank count.
std::string refusal(int world_size, const std::function<void(Communicator&)>& body, int exit_code) {
  std::string message;
  std::mutex mutex;
  run_ranks(world_size, [&](Communicator& comm) {
    try {
      body(comm);
      ADD_FAILURE() << "rank " << comm.rank() << " was not refused";
    } catch (const CheckpointError& error) {
      const std::scoped_lock lock(mutex);
      EXPECT_EQ(error.exit_code(), exit_code);
      if (!message.empty()) {
        EXPECT_EQ(message, error.what());
      }
      message = error.what();
    }
  });
  return message;
}

TEST(Checkpoint, LoadingIntoOtherShapesNamesExpectedAndFound) {
  const ScratchFolder folder("shapes");
  save_step(folder.path(), 2, 1);
  const auto load_with = [&](const std::function<void(TrainState&)>& change) {
    return refusal(
        2,
        [&](Communicator& comm) {
          TrainState state = make_state(1, comm.rank(), 2);
          if (comm.rank() == 1) change(state);
          const CheckpointInfo latest = *find_latest(comm, folder.path(), nullptr);
          load(comm, latest, state);
        },
        CheckpointError::kUnusable);
  };
  EXPECT_THAT(load_with([](TrainState& state) { state.tensors[0].global_rows = 24; }),
              HasSubstr("\"l_user.weight\": expected float32 [24, 8], found float32 [23, 8]"));
  EXPECT_THAT(load_with([](TrainState& state) { state.tensors[0].rows = state.tensors[0].rows.to(at::kDouble); }),
              HasSubstr("\"l_user.weight\": expected float64 [23, 8], found float32 [23, 8]"));
  EXPECT_THAT(load_with([](TrainState& state) { state.tensors[0].name = "other"; }), HasSubstr("rank 1: "));
  EXPECT_THAT(load_with([](TrainState& state) { state.tensors[0].first_row = 20; }),
              HasSubstr("the rows asked for lie outside it"));
}

TEST(Checkpoint, BlocksThatDoNotCoverATensorAreRefusedBeforeTheCommit) {
  const ScratchFolder folder("cover");
  const std::string message = refusal(
      2,
      [&](Communicator& comm) {
        TrainState state = make_state(1, comm.rank(), 2);
        if (comm.rank() == 1) state.tensors[0].first_row += 1;
        save(comm, folder.path(), 1, state);
      },
      CheckpointError::kCannotSave);
  EXPECT_THAT(message, HasSubstr("\"l_user.weight\": the parts must cover its 23 rows once"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(CheckpointWriter, SavesTheStateOfTheMomentOfTheCall) {
  const ScratchFolder folder("async");
  run_ranks(3, [&](Communicator& comm) {
    prepare(comm, folder.path());
    CheckpointWriter writer(comm, folder.path(), {});
    TrainState state = make_state(1, comm.rank(), 3);
    for (const int64_t step : {1, 2, 3}) {
      const TrainState next = make_state(step, comm.rank(), 3);
      for (size_t n = 0; n < state.tensors.size(); ++n) state.tensors[n].rows.copy_(next.tensors[n].rows);
      for (size_t n = 0; n < state.replicated.size(); ++n) state.replicated[n].value.copy_(next.replicated[n].value);
      state.metadata_json = next.metadata_json;
      writer.start(step, state);
      for (ShardedTensor& tensor : state.tensors) tensor.rows.zero_();  // training goes on
    }
    EXPECT_EQ(writer.finish()->step, 3);
    EXPECT_TRUE(writer.idle());
    EXPECT_FALSE(writer.finish().has_value());
    expect_loads(comm, *find_latest(comm, folder.path(), nullptr));
  });
}

TEST(CheckpointWriter, AFailedSaveSurfacesAtTheNextCallOnAllRanks) {
  const ScratchFolder folder("async_failure");
  const path parent = folder.path() / "removed";
  const std::string message = refusal(
      3,
      [&](Communicator& comm) {
        prepare(comm, parent);
        CheckpointWriter writer(comm, parent, {});
        if (comm.rank() == 0) std::filesystem::remove_all(parent);
        comm.barrier();
        writer.start(1, make_state(1, comm.rank(), 3));
        writer.start(2, make_state(2, comm.rank(), 3));
      },
      CheckpointError::kCannotSave);
  EXPECT_THAT(message, HasSubstr("rank 0: cannot create directory"));
}

}  // namespace
}  // namespace cllm::testing
