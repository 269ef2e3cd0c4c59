#include "launch/output/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "data/errors.h"
#include "launch/output/append_file.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

class Metrics : public ::testing::Test {
 protected:
  void SetUp() override { fs::remove_all(dir_); }

  /// The records of a small run: steps first..last with a loss, and a validation after step 4.
  void run(int64_t first, int64_t last, std::optional<int64_t> resume_step) {
    MetricsWriter writer(dir_, {}, resume_step);
    for (int64_t step = first; step <= last; ++step) {
      const auto value = static_cast<double>(step);
      writer.write({step, "mutual", "step", {{"loss", 1 / value}, {"lm", 0.1 * value}}, {{"tokens_per_s", 1e3}}});
      if (step == 4) writer.write({step, "mutual", "validation", {{"recall@20", 0.25}}});
    }
    writer.flush();
  }

  std::string file() const { return read_whole_file(dir_ + "/metrics.jsonl"); }
  uint64_t events_size() const { return fs::file_size(dir_ + "/tensorboard/events.out.tfevents.cllm4rec"); }

  std::string dir_ = ::testing::TempDir() + "metrics_test";
};

TEST_F(Metrics, RecordsReadBackExactly) {
  const double third = 1.0 / 3;
  MetricsWriter(dir_, {}, std::nullopt).write({7, "warmup", "step", {{"loss", third}, {"mr", std::nan("")}}});
  EXPECT_EQ(file(),
            "{\"step\": 7, \"stage\": \"warmup\", \"event\": \"step\", \"loss\": 0.3333333333333333, \"mr\": null}\n");
  const auto records = read_metrics(dir_ + "/metrics.jsonl");
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].values[0], std::make_pair(std::string("loss"), third));
  EXPECT_TRUE(std::isnan(records[0].values[1].second));
}

TEST_F(Metrics, ResumedFileEqualsAnUninterruptedOne) {
  run(1, 9, std::nullopt);
  const std::string uninterrupted = file();
  const uint64_t events = events_size();
  for (int64_t stop = 1; stop < 9; ++stop) {
    run(1, 7, std::nullopt);
    const int64_t resume = std::min<int64_t>(stop, 7);
    run(resume + 1, 9, resume);
    EXPECT_EQ(file(), uninterrupted) << "resumed at step " << resume;
    EXPECT_EQ(events_size(), events) << "resumed at step " << resume;
  }
}

TEST_F(Metrics, RecordOfTheResumedStepIsNotWrittenTwice) {
  run(1, 4, std::nullopt);
  const std::string before = file();
  run(4, 4, 4);
  EXPECT_EQ(file(), before);
}

TEST_F(Metrics, LineCutByACrashIsRemoved) {
  run(1, 5, std::nullopt);
  const std::string whole = file();
  std::ofstream(dir_ + "/metrics.jsonl", std::ios::app) << "{\"step\": 6, \"sta";
  EXPECT_EQ(read_metrics(dir_ + "/metrics.jsonl").size(), 6u);
  run(6, 5, 5);
  EXPECT_EQ(file(), whole);
}

TEST_F(Metrics, FreshRunStartsEmptyFiles) {
  run(1, 5, std::nullopt);
  run(1, 1, std::nullopt);
  EXPECT_EQ(read_metrics(dir_ + "/metrics.jsonl").size(), 1u);
}

TEST_F(Metrics, DamageInTheMiddleNamesTheLine) {
  run(1, 2, std::nullopt);
  std::ofstream(dir_ + "/metrics.jsonl", std::ios::app) << "garbage\n";
  try {
    read_metrics(dir_ + "/metrics.jsonl");
    FAIL() << "damage was not noticed";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("metrics.jsonl:3"), std::string::npos) << error.what();
  }
}

TEST_F(Metrics, FullDiskIsAnErrorThatNamesTheFile) {
  if (!fs::exists("/dev/full")) GTEST_FAIL() << "no /dev/full here";
  fs::create_directories(dir_);
  fs::create_symlink("/dev/full", dir_ + "/full.jsonl");
  EXPECT_ANY_THROW({
    AppendFile full(dir_ + "/full.jsonl", 0);
    full.write("x");
    full.sync();
  });
}

TEST_F(Metrics, SwitchedOffFilesAreNotMade) {
  MetricsWriter(dir_, {.jsonl = false, .tensorboard = false}, std::nullopt).write({1, "mutual", "step", {{"loss", 1}}});
  EXPECT_FALSE(fs::exists(dir_ + "/metrics.jsonl"));
  EXPECT_FALSE(fs::exists(dir_ + "/tensorboard"));
}

}  // namespace
}  // namespace cllm
