// Offline resharding: the same rows in other files, streaming; and what loading a checkpoint costs in memory.
#include <ATen/ops/empty.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sstream>

#include "checkpoints/compare.h"
#include "checkpoints/directory.h"
#include "checkpoints/reshard.h"
#include "dist/communicator/mpi_session.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/command.h"
#include "tests/support/crash_files.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using std::filesystem::path;
using ::testing::HasSubstr;

CheckpointInfo save_by(const path& parent, int world_size) {
  std::filesystem::create_directories(parent);
  run_ranks(world_size, [&](Communicator& comm) { save(comm, parent, 7, make_state(7, comm.rank(), world_size)); });
  return verify_checkpoint(parent / step_name(7), VerifyLevel::kFull);
}

TEST(Reshard, ChainsKeepEveryRowAndEveryResultLoadsOnAnyNumberOfRanks) {
  // 23 users, 3 items, a tensor of no rows: with 4 and 7 files some hold no item, with 40 some hold nothing at all.
  for (const std::vector<int>& chain : {std::vector<int>{1, 2, 3, 4, 1}, {4, 3, 2}, {2, 7, 40, 1}}) {
    const ScratchFolder folder("reshard_chain");
    CheckpointInfo now = save_by(folder.path() / "0", chain[0]);
    const uint64_t digest = content_digest(now);
    for (size_t n = 1; n < chain.size(); ++n) {
      now = reshard(now, folder.path() / std::to_string(n), chain[n]);
      EXPECT_EQ(now.manifest->shards.size(), static_cast<size_t>(chain[n]));
      EXPECT_EQ(content_digest(verify_checkpoint(now.dir, VerifyLevel::kFull)), digest);
      for (const int loaded_by : {1, 3, 4}) run_ranks(loaded_by, [&](Communicator& comm) { expect_loads(comm, now); });
    }
  }
}

TEST(Reshard, AKillAtAnyCallLeavesNoCheckpointOrTheWholeOne) {
  const ScratchFolder folder("reshard_kill");
  const CheckpointInfo from = save_by(folder.path() / "from", 2);
  for (int call = 1; call < 1000; ++call) {
    const path to = folder.path() / "to";
    std::filesystem::remove_all(to);
    CrashingFiles files(call);
    bool finished = false;
    try {
      reshard(from, to, 3, &files);
      finished = true;
    } catch (const Crash&) {
    }
    for (const path& made : step_folders(to))
      EXPECT_EQ(content_digest(verify_checkpoint(made, VerifyLevel::kFull)), content_digest(from));
    if (finished) {
      EXPECT_GT(call, 10);
      return;
    }
  }
  FAIL() << "never finished";
}

TEST(Reshard, RefusesItsOwnFolderAndADamagedSource) {
  const ScratchFolder folder("reshard_refuse");
  const CheckpointInfo from = save_by(folder.path() / "from", 2);
  EXPECT_THROW(reshard(from, folder.path() / "from", 3), CheckpointError);
  std::filesystem::resize_file(from.dir / "shard-00001-of-00002.h5", 10);
  EXPECT_THROW(reshard(from, folder.path() / "to", 3), CheckpointError);
  EXPECT_TRUE(step_folders(folder.path() / "to").empty());
}

constexpr int64_t kBigRows = 200000, kBigColumns = 512;  // 391 MiB of float32
constexpr double kMiB = 1 << 20;
#ifdef __SANITIZE_ADDRESS__
constexpr double kSanitizer = 1.25;  // a byte of shadow for every eight, and freed blocks in quarantine
#else
constexpr double kSanitizer = 1;
#endif

double peak_mib() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

TrainState big_state(int rank, int world_size, bool filled) {
  const RowPartition partition(kBigRows, world_size);
  TrainState state;
  const at::Tensor rows = at::empty({partition.size(rank), kBigColumns}, at::kFloat);
  for (int64_t row = 0; filled && row < rows.size(0); ++row)
    rows[row].fill_(static_cast<double>(partition.begin(rank) + row));
  state.tensors.push_back({"big", kBigRows, partition.begin(rank), rows});
  return state;
}

/// "save folder", "load folder" or "reshard folder ranks"; prints the peak of memory of every rank.
TEST(Memory, DISABLED_Program) {
  MpiSession session(nullptr, nullptr);
  const std::unique_ptr<Communicator> comm = session.world(50);
  std::istringstream argument(program_argument());
  std::string act, folder;
  int ranks = 1;
  argument >> act >> folder >> ranks;
  double shard_mib = 0;
  if (act == "save") save(*comm, folder, 1, big_state(session.rank(), session.world_size(), true));
  if (act == "reshard") reshard(*find_latest(*comm, folder, nullptr), folder + "/again", ranks);
  if (act == "load") {
    TrainState state = big_state(session.rank(), session.world_size(), false);
    shard_mib = static_cast<double>(state.tensors[0].rows.nbytes()) / kMiB;
    load(*comm, *find_latest(*comm, folder, nullptr), state);
    const int64_t last = state.tensors[0].rows.size(0) - 1;
    EXPECT_EQ(state.tensors[0].rows[last][0].item<double>(), static_cast<double>(state.tensors[0].first_row + last));
  }
  std::printf("rank %d: peak %.0f MiB, shard %.0f MiB\n", session.rank(), peak_mib(), shard_mib);
  const double bound = kSanitizer * (act == "load"      ? 1.3 * shard_mib + 256
                                     : act == "reshard" ? 256 + 100
                                                        : 1e9);  // 100: what libtorch itself takes
  if (peak_mib() > bound || ::testing::Test::HasFailure()) std::printf("over the bound of %.0f MiB\n", bound);
}

TEST(Memory, LoadingTakesTheOwnShardAndReshardingOnlyBlocks) {
  const path folder = std::filesystem::temp_directory_path() / ("cllm_memory_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  for (const auto& [ranks, act] : std::vector<std::pair<int, std::string>>{{3, "save"}, {2, "load"}, {1, "reshard"}}) {
    const CommandResult result =
        run_test_as_program(ranks, "Memory.DISABLED_Program", act + " " + folder.string() + " 1");
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_THAT(result.output, HasSubstr("peak")) << act;
    EXPECT_THAT(result.output, ::testing::Not(HasSubstr("over the bound"))) << act;
    const size_t at = result.output.find("rank 0: peak");
    if (at != std::string::npos)
      std::printf("%s: %s\n", act.c_str(), result.output.substr(at, result.output.find('\n', at) - at).c_str());
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace cllm::testing
