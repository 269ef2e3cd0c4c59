// What looks after a run: limits, the crash-loop guard, heartbeats, what ranks decide together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "dist/watch/failpoints.h"
#include "launch/failures/errors.h"
#include "launch/supervision/heartbeat.h"
#include "launch/supervision/restart_guard.h"
#include "launch/supervision/step_meeting.h"
#include "launch/supervision/time_limit.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using ::testing::HasSubstr;

class Scratch {
 public:
  Scratch() : path_(std::filesystem::temp_directory_path() / ("cllm_supervision_" + std::to_string(getpid()))) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(TimeLimit, TheEarlierOfBothCountsAndNothingIsNoLimit) {
  const double epoch_s = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_FALSE(TimeLimit(0, "").exists());
  EXPECT_GT(TimeLimit().left_s(), 1e18);
  EXPECT_NEAR(TimeLimit(500, std::to_string(epoch_s + 900)).left_s(), 500, 30);
  EXPECT_NEAR(TimeLimit(500, std::to_string(epoch_s + 100)).left_s(), 100, 30);
  setenv("SLURM_JOB_END_TIME", std::to_string(static_cast<int64_t>(epoch_s) + 700).c_str(), 1);
  EXPECT_NEAR(TimeLimit(0, "SLURM_JOB_END").left_s(), 700, 30);
  unsetenv("SLURM_JOB_END_TIME");
  EXPECT_THROW(TimeLimit(0, "SLURM_JOB_END"), ConfigError);
  EXPECT_THROW(TimeLimit(0, "tomorrow"), ConfigError);
}

TEST(TimeReserve, CountsAStepAndTheSavesThatMustStillFit) {
  TimeReserve reserve(1'000'000'000);
  EXPECT_GT(reserve.seconds(false), 10);  // nothing measured: 1 GB at 100 MB/s
  reserve.save_took(2);
  reserve.step_took(1);
  reserve.step_took(0.5);
  const double idle = reserve.seconds(false), busy = reserve.seconds(true);
  EXPECT_GE(idle, 1 + 2);
  EXPECT_LT(idle, 10);
  EXPECT_GE(busy - idle, 2);
}

TEST(RestartGuard, TheThirdRestartWithoutANewCommitIsRefused) {
  const Scratch scratch;
  const RestartGuard guard(scratch.path());
  for (int start = 0; start < 3; ++start) EXPECT_NO_THROW(guard.count_start(-1, 3)) << start;
  EXPECT_THROW(guard.count_start(-1, 3), NoProgressError);
  EXPECT_NO_THROW(guard.count_start(40, 3));  // it came further
  for (int restart = 0; restart < 2; ++restart) EXPECT_NO_THROW(guard.count_start(40, 3));
  EXPECT_THROW(guard.count_start(40, 3), NoProgressError);
  EXPECT_NO_THROW(guard.count_start(40, 0));  // no limit
  guard.forgive();
  EXPECT_NO_THROW(guard.count_start(40, 3));
}

TEST(Heartbeat, WhatARankWroteIsReadAndWhatItDidNotIsNothing) {
  const Scratch scratch;
  const HeartbeatBoard board(scratch.path() / "heartbeats");
  board.clear();
  EXPECT_FALSE(board.read(1).has_value());
  board.write({.rank = 1,
               .beat = 5,
               .step = 12,
               .work = "training step",
               .operation = "all_reduce on \"world\"",
               .num_collectives = 99,
               .elapsed_s = 1.5,
               .reported = true});
  const auto found = board.read(1);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->beat, 5);
  EXPECT_EQ(found->step, 12);
  EXPECT_EQ(found->operation, "all_reduce on \"world\"");
  EXPECT_TRUE(found->reported);
  std::filesystem::resize_file(scratch.path() / "heartbeats" / "rank-1", 10);  // torn
  EXPECT_FALSE(board.read(1).has_value());
  EXPECT_FALSE(board.alarm());
  board.raise_alarm(0);
  EXPECT_TRUE(board.alarm());
  board.clear();
  EXPECT_FALSE(board.alarm());
}

TEST(StepMeeting, AllRanksSeeTheSameReports) {
  run_ranks(3, [](Communicator& comm) {
    RankReport mine;
    mine.signal = comm.rank() == 1 ? 10 : 0;
    mine.data_ready = comm.rank() != 2;
    mine.save_failed = comm.rank() == 0;
    mine.work = {0.5 * comm.rank(), 100.0 * comm.rank()};
    mine.save_due = comm.rank() == 0;
    const auto all = exchange(comm, mine);
    ASSERT_EQ(all.size(), 3u);
    EXPECT_EQ(stop_reason(all), "signal 10 to rank 1");
    EXPECT_FALSE(all_data_ready(all));
    EXPECT_TRUE(any_save_failed(all));
    EXPECT_TRUE(all[0].save_due);
    EXPECT_EQ(all[2].work.own_s, 1);
    EXPECT_EQ(all[2].work.tokens, 200);
    EXPECT_EQ(non_finite_place(all), "");
  });
}

TEST(StepMeeting, TheFirstPlaceOfAStepIsNamedNotWhereItSpreadTo) {
  std::vector<RankReport> reports(3);
  reports[0].non_finite = NonFinite::kRowGradients;
  reports[1].non_finite = NonFinite::kLoss;
  reports[2].non_finite = NonFinite::kInputRows;
  EXPECT_EQ(non_finite_place(reports), "input rows of rank 2");
}

TEST(StepMeeting, OnlyRankZeroLooksAtTheClock) {
  std::vector<RankReport> reports(2);
  reports[1].time_is_up = true;
  EXPECT_EQ(stop_reason(reports), "");
  reports[0].time_is_up = true;
  EXPECT_THAT(stop_reason(reports), HasSubstr("time limit"));
}

TEST(Failpoints, ThereAreEnoughOfThemAndBadTextsAreRefused) {
  EXPECT_GE(Failpoints::names().size(), 25u);
  Failpoints failpoints;
  EXPECT_FALSE(failpoints.armed());
  for (const char* bad : {"", "save.before_rename", "nowhere:kill", "save.before_rename:burn",
                          "save.before_rename:kill@x", "save.before_rename:kill#x", "save.before_rename:delay"}) {
    EXPECT_THROW(failpoints.arm(bad, 0), std::invalid_argument) << bad;
  }
}

TEST(Failpoints, ActAtTheNthPassOfTheirRank) {
  Failpoints failpoints;
  failpoints.arm("step.before_compute:nan@3#1", 1);
  failpoints.arm("step.after_compute:nan@2+", 1);
  failpoints.arm("save.before_rename:fail#2", 1);  // another rank's
  std::vector<bool> once, onwards;
  for (int pass = 0; pass < 5; ++pass) {
    once.push_back(failpoints.at("step.before_compute"));
    onwards.push_back(failpoints.at("step.after_compute"));
  }
  EXPECT_EQ(once, (std::vector<bool>{false, false, true, false, false}));
  EXPECT_EQ(onwards, (std::vector<bool>{false, true, true, true, true}));
  EXPECT_NO_THROW(failpoints.at("save.before_rename"));
}

}  // namespace
}  // namespace cllm::testing
