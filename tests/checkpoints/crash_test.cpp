// A save that is cut short anywhere leaves the old or the new checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <random>

#include "checkpoints/directory.h"
#include "checkpoints/writer.h"
#include "dist/communicator/mpi_session.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/command.h"
#include "tests/support/crash_files.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using std::filesystem::path;
using ::testing::HasSubstr;

constexpr int kRanks = 2;

void save_step(const path& parent, int64_t step, Files* files = nullptr) {
  SaveOptions options;
  options.files = files;
  run_ranks(kRanks,
            [&](Communicator& comm) { save(comm, parent, step, make_state(step, comm.rank(), kRanks), options); });
}

/// The step that a restarted run finds; it must load rightly, and the run must be able to save again.
int64_t step_after_restart(const path& parent) {
  int64_t step = -1;
  run_ranks(kRanks, [&](Communicator& comm) {
    prepare(comm, parent);
    const std::optional<CheckpointInfo> latest = find_latest(comm, parent, nullptr);
    if (!latest) return;
    expect_loads(comm, *latest);
    if (comm.rank() == 0) step = latest->step;
    save(comm, parent, 30, make_state(30, comm.rank(), kRanks));
  });
  for (const auto& entry : std::filesystem::directory_iterator(parent)) {
    EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << entry.path() << " was left behind";
  }
  return step;
}

struct Power {
  bool lost, keep_renames;
};

class Crashes : public ::testing::TestWithParam<Power> {};

TEST_P(Crashes, AtAnyCallLeaveTheOldOrTheNewCheckpoint) {
  int found_new = 0;
  for (int call = 1; call < 1000; ++call) {
    const ScratchFolder folder("crash");
    save_step(folder.path(), 5);
    save_step(folder.path(), 10);
    CrashingFiles files(call);
    files.trust(folder.path());
    bool finished = false;
    try {
      save_step(folder.path(), 20, &files);
      finished = true;
    } catch (const Crash&) {
    } catch (const CommError&) {  // another rank noticed first
    }
    if (GetParam().lost) files.lose_power(folder.path(), GetParam().keep_renames);
    const int64_t step = step_after_restart(folder.path());
    EXPECT_TRUE(step == 20 || (step == 10 && !finished)) << "call " << call << " left step " << step;
    found_new += step == 20;
    if (finished) {
      EXPECT_GT(call, 15);
      EXPECT_GT(found_new, 1);  // some crashes come after the commit
      return;
    }
  }
  FAIL() << "the save never finished";
}

TEST_P(Crashes, InTheFirstSaveLeaveAFreshStartOrTheCheckpoint) {
  for (int call = 1; call < 1000; ++call) {
    const ScratchFolder folder("crash_first");
    CrashingFiles files(call);
    try {
      save_step(folder.path(), 20, &files);
    } catch (const Crash&) {
    } catch (const CommError&) {
    }
    if (GetParam().lost) files.lose_power(folder.path(), GetParam().keep_renames);
    const int64_t step = step_after_restart(folder.path());
    EXPECT_TRUE(step == 20 || (step == -1 && files.crashed())) << "call " << call << " left step " << step;
    if (!files.crashed()) return;
  }
  FAIL() << "the save never finished";
}

INSTANTIATE_TEST_SUITE_P(Power, Crashes, ::testing::Values(Power{false, false}, Power{true, false}, Power{true, true}),
                         [](const auto& test) {
                           return !test.param.lost          ? "Stays"
                                  : test.param.keep_renames ? "FailsAfterRenames"
                                                            : "FailsBeforeRenames";
                         });

/// The test of the tests: a build that forgets to sync must be caught by losing power.
class ForgetfulFiles : public CrashingFiles {
 public:
  ForgetfulFiles() : CrashingFiles(1000) {}
  void sync_file(const path&) override {}
};

TEST(PowerLoss, FindsAMissingSync) {
  const ScratchFolder folder("forgetful");
  save_step(folder.path(), 10);
  ForgetfulFiles files;
  files.trust(folder.path());
  save_step(folder.path(), 20, &files);
  files.lose_power(folder.path(), true);
  run_ranks(1, [&](Communicator& comm) { EXPECT_EQ(find_latest(comm, folder.path(), nullptr)->step, 10); });
}

TEST(FullDisk, AtAnyCallIsReportedByAllRanksAndKeepsTheOldCheckpoint) {
  for (int call = 1; call < 1000; ++call) {
    const ScratchFolder folder("full");
    save_step(folder.path(), 10);
    FailingFiles files(call);
    SaveOptions options;
    options.files = &files;
    std::atomic<int> reports = 0;
    run_ranks(kRanks, [&](Communicator& comm) {
      try {
        save(comm, folder.path(), 20, make_state(20, comm.rank(), kRanks), options);
      } catch (const CheckpointError& error) {
        EXPECT_EQ(error.exit_code(), CheckpointError::kCannotSave);
        EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
        ++reports;
      }
    });
    EXPECT_TRUE(reports == 0 || reports == kRanks);
    const int64_t step = step_after_restart(folder.path());
    EXPECT_TRUE(step == 20 || (step == 10 && reports == kRanks)) << "call " << call << " left step " << step;
    if (!files.crashed()) return;
  }
  FAIL() << "the save never finished";
}

/// A file system of its own for this thread's mount namespace; it vanishes with the process at the latest.
class TinyDisk {
 public:
  TinyDisk(const path& where, int64_t num_bytes) : where_(where) {
    const std::string size = "size=" + std::to_string(num_bytes);
    usable_ = unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
              mount("tmpfs", where.c_str(), "tmpfs", 0, size.c_str()) == 0;
  }
  ~TinyDisk() {
    if (usable_) umount(where_.c_str());
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  bool usable() const { return usable_; }

 private:
  path where_;
  bool usable_;
};

TEST(FullDisk, OfAnySizeKeepsTheOldCheckpointAndNamesTheReason) {
  int num_saved_both = 0, num_failed = 0;
  for (int64_t pages = 2; pages <= 41; ++pages) {
    const ScratchFolder folder("tiny");
    const TinyDisk disk(folder.path(), pages * 4096);
    if (!disk.usable()) GTEST_SKIP() << "SKIPPED: this test mounts a tmpfs, which is not permitted here";
    int64_t last = 0;
    for (const int64_t step : {10, 20}) {
      try {
        save_step(folder.path(), step);
        last = step;
      } catch (const CheckpointError& error) {
        EXPECT_EQ(error.exit_code(), CheckpointError::kCannotSave);
        EXPECT_THAT(error.what(), HasSubstr("No space left on device"));
        ++num_failed;
      }
    }
    num_saved_both += last == 20;
    run_ranks(kRanks, [&](Communicator& comm) {
      const std::optional<CheckpointInfo> latest = find_latest(comm, folder.path(), nullptr);
      EXPECT_EQ(latest ? latest->step : 0, last) << pages << " pages";
      if (latest) expect_loads(comm, *latest);
    });
  }
  EXPECT_GT(num_saved_both, 3);
  EXPECT_GT(num_failed, 10);
}

/// Saves steps for ever; one rank kills itself after the delay in the argument "folder rank microseconds".
TEST(Kill, DISABLED_Program) {
  MpiSession session(nullptr, nullptr);
  std::istringstream argument(program_argument());
  std::string folder;
  int victim = 0, delay_us = 0;
  argument >> folder >> victim >> delay_us;
  const std::unique_ptr<Communicator> comm = session.world(20);
  prepare(*comm, folder);
  const std::optional<CheckpointInfo> latest = find_latest(*comm, folder, nullptr);
  if (latest) expect_loads(*comm, *latest);
  if (::testing::Test::HasFailure()) session.abort(1);
  std::thread killer([&] {
    std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
    if (session.rank() == victim) kill(getpid(), SIGKILL);
  });
  killer.detach();
  CheckpointWriter writer(*comm, folder, {});
  for (int64_t step = latest ? latest->step + 1 : 1;; ++step)
    writer.start(step, make_state(step, comm->rank(), comm->world_size()));
}

TEST(Kill, AtRandomMomentsLosesNothingThatWasCommitted) {
  const ScratchFolder folder("kill");
  std::mt19937 random(3);
  int64_t last = 0;
  for (int round = 0; round < 4 || (last <= 2 && round < 100); ++round) {  // a busy machine saves less in that time
    const std::string victim = std::to_string(random() % 3), delay_us = std::to_string(20000 + random() % 200000);
    const CommandResult result =
        run_test_as_program(3, "Kill.DISABLED_Program", folder.path().string() + " " + victim + " " + delay_us);
    EXPECT_EQ(result.exit_code, 137) << result.output;
    int64_t step = 0;
    run_ranks(2, [&](Communicator& comm) {
      std::vector<Refusal> refused;
      const std::optional<CheckpointInfo> latest = find_latest(comm, folder.path(), &refused);
      EXPECT_TRUE(refused.empty());
      if (!latest) return;
      expect_loads(comm, *latest);
      if (comm.rank() == 0) step = latest->step;
    });
    EXPECT_GE(step, last);
    last = step;
  }
  EXPECT_GT(last, 2);
}

}  // namespace
}  // namespace cllm::testing
