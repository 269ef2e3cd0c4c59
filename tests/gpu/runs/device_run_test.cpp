// The program on a GPU, as a user runs it; without one on the fake device of tests/gpu/on_host.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;

#ifdef CLLM_TEST_ON_GPU
constexpr bool kOnGpu = true;
#else
constexpr bool kOnGpu = false;
#endif

/// The command of `ranks` ranks on cpu or cuda. A GPU takes one rank unless the arguments let several share it: a test
/// needs no more than one GPU.
std::string on(const std::string& device, int ranks, const std::string& arguments) {
  if (kOnGpu && device == "cuda" && arguments.find("--share-gpus") == std::string::npos) ranks = 1;
  std::string command = cllm4rec(ranks, arguments + (arguments.starts_with("export") ? "" : " --device=" + device));
  const std::string program = program_path(),
                    of_device = kOnGpu ? program : std::string(CLLM_BINARY_DIR) + "/tests/cllm4rec_on_host";
  return command.replace(command.find(program), program.size(), of_device);
}

/// All stages in about 10 steps; kernels on the fake device are slow.
std::string train_arguments(const fs::path& dir, const std::string& more) {
  const SmallWorld& world = small_world();
  return "train --run.dir=" + dir.string() + " --run.corpus=" + world.corpus.string() +
         " --run.backbone=" + world.backbone.string() +
         " --loss.lambda=0.1 --warmup.epochs=1 --mutual.epochs=1 --finetune.epochs=1 --batch.groups=6 "
         "--batch.max_text_tokens=6"
         " --batch.max_items=5 --dropout.embedding=0.1 --dropout.attention=0.1 --dropout.residual=0.1 "
         "--log.every_steps=1 " +
         more;
}

/// `output`: what the run printed.
fs::path train(const std::string& device, int ranks, const std::string& name, const std::string& more,
               std::string* output = nullptr) {
  const fs::path dir = fresh_dir(name);
  const Finished finished = run(on(device, ranks, train_arguments(dir, more)));
  EXPECT_EQ(finished.code, 0) << finished.output;
  if (output != nullptr) *output = finished.output;
  return dir;
}

void expect_same_losses(const fs::path& a, const fs::path& b, double tolerance) {
  const auto one = losses_of(a), other = losses_of(b);
  ASSERT_GE(one.size(), 4u);
  ASSERT_EQ(one.size(), other.size());
  for (size_t n = 0; n < one.size(); ++n)
    EXPECT_NEAR(one[n], other[n], tolerance * std::abs(one[n])) << "step " << n + 1;
}

/// Lines of user and items; the scores may differ in their last digits.
void expect_same_lists(const std::string& a, const std::string& b) {
  std::istringstream one(a), other(b);
  int64_t users = 0;
  for (std::string mine, theirs; std::getline(one, mine); ++users) {
    ASSERT_TRUE(std::getline(other, theirs)) << "only " << users << " lists";
    const auto left = nlohmann::json::parse(mine), right = nlohmann::json::parse(theirs);
    ASSERT_EQ(left["user"], right["user"]);
    ASSERT_EQ(left["items"].size(), right["items"].size());
    for (size_t n = 0; n < left["items"].size(); ++n) {
      EXPECT_EQ(left["items"][n]["item"], right["items"][n]["item"]) << left["user"];
      EXPECT_NEAR(left["items"][n]["score"].get<double>(), right["items"][n]["score"].get<double>(), 1e-9)
          << left["user"];
    }
  }
  EXPECT_EQ(users, 120);
  EXPECT_TRUE(other.peek() == EOF);
}

TEST(DeviceRun, EveryStageHasTheLossesOfTheCpu) {
  const fs::path cpu = train("cpu", 1, "cpu", "--run.precision=fp64"),
                 device = train("cuda", 1, "device", "--run.precision=fp64");
  expect_same_losses(cpu, device, 1e-9);
  expect_same_losses(cpu, train("cuda", 2, "device_ahead", "--run.precision=fp64 --run.fetch_ahead=true"), 1e-9);
  const auto tables = [&](const std::string& on_device, int ranks) {  // not what a sanitizer may say beside them
    return run("{ " + on(on_device, ranks, "evaluate " + device.string()) + " 2>/dev/null; }");
  };
  const Finished there = tables("cuda", 2), here = tables("cpu", 1);
  EXPECT_EQ(there.code, 0) << there.output;
  EXPECT_EQ(there.output, here.output);
  const auto best = [&](const std::string& on_device, int ranks) {
    const std::string file = (small_world().root / "top.jsonl").string();
    const Finished finished =
        run(on(on_device, ranks, "recommend --overwrite --k 5 -o " + file + " " + device.string()));
    EXPECT_EQ(finished.code, 0) << finished.output;
    return read_file(file);
  };
  expect_same_lists(best("cuda", 2), best("cpu", 1));
}

/// Runs for several tests, on a fake device with stalls of 1000 s a wait and two GPUs.
struct SeveralRanks {
  fs::path cpu, overlapping, in_levels;
  std::string of_overlapping, of_in_levels;  // what they printed
};
const SeveralRanks& several_ranks() {
  static const SeveralRanks runs = [] {
    setenv("CLLM_FAKE_STALL_S", "1000", /*overwrite=*/1);
    setenv("CLLM_FAKE_GPUS", "2", /*overwrite=*/1);
    const std::string more =
        "--run.precision=fp64 --mutual.schedule=interleave --mutual.epochs=2 --warmup.epochs=0 --finetune.epochs=0 ";
    SeveralRanks out;
    out.cpu = train("cpu", 1, "cpu_interleaved", more);
    out.overlapping =
        train("cuda", 2, "overlapping", more + "--run.fetch_ahead=true --log.trace=true ", &out.of_overlapping);
    out.in_levels = train("cuda", 4, "in_levels", more + "--run.ranks_per_node=2 --share-gpus ", &out.of_in_levels);
    unsetenv("CLLM_FAKE_STALL_S");
    unsetenv("CLLM_FAKE_GPUS");
    return out;
  }();
  return runs;
}

TEST(DeviceRun, StepsThatOverlapHaveTheLossesOfTheCpuWhereCorporaAreInterleavedToo) {
  expect_same_losses(several_ranks().cpu, several_ranks().overlapping, 1e-9);
}

TEST(DeviceRun, RowsInTwoLevelsAndRanksThatShareAGpuHaveTheLossesOfTheCpu) {
  expect_same_losses(several_ranks().cpu, several_ranks().in_levels, 1e-9);
}

#ifndef CLLM_TEST_ON_GPU  // where stalls and numbers of GPUs can be made up

std::vector<double> exposed_shares(const fs::path& dir) {
  std::istringstream lines(read_file(dir / "timing.jsonl"));
  std::vector<double> out;
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line);
    if (record.contains("exposed_communication")) out.push_back(record["exposed_communication"].get<double>());
  }
  EXPECT_GE(out.size(), 4u);
  return out;
}

TEST(DeviceRun, StallsOfTheDeviceAreExposedCommunicationOfATracedRun) {
  const auto& [cpu, traced, plain, of_traced, of_plain] = several_ranks();
  for (const double share : exposed_shares(traced)) EXPECT_EQ(share, 1);
  for (const double share : exposed_shares(plain)) EXPECT_LT(share, 1);
  EXPECT_NE(of_traced.find(" exposed 100%  "), std::string::npos) << of_traced;
  EXPECT_NE(of_plain.find(" exposed >="), std::string::npos) << of_plain;
}

TEST(DeviceRun, RanksBeyondTheGpusAreRefusedUnlessTheyMayShare) {
  setenv("CLLM_FAKE_GPUS", "1", /*overwrite=*/1);
  const Finished refused = run(on("cuda", 2, train_arguments(fresh_dir("no_gpu"), "")));
  unsetenv("CLLM_FAKE_GPUS");
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_NE(refused.output.find("local rank 1 finds 1 GPUs on its host"), std::string::npos) << refused.output;
}

#endif

TEST(DeviceRun, UsersOnTheHostAndRecomputedActivationsChangeNoBit) {
  const std::string more = "--run.precision=fp32 --finetune.epochs=0 ";
  std::string of_plain, of_other;
  const fs::path plain = train("cuda", 1, "plain", more, &of_plain),
                 other = train("cuda", 1, "other", more + "--run.user_tables=host --run.recompute=true ", &of_other);
  EXPECT_EQ(of_plain.find(", user rows "), std::string::npos) << of_plain;
  EXPECT_NE(of_other.find(", user rows "), std::string::npos) << of_other;
  EXPECT_NE(of_other.find("GPU memory "), std::string::npos) << of_other;
  EXPECT_EQ(read_file(plain / "metrics.jsonl"), read_file(other / "metrics.jsonl"));
}

TEST(DeviceRun, RecordedPassesHaveTheLossesOfThoseThatAreNot) {
  const std::string more = "--run.precision=bf16 --warmup.epochs=0 --dropout.attention=0 ";
  expect_same_losses(train("cuda", 1, "not_recorded", more),
                     train("cuda", 1, "recorded", more + "--run.graph_tokens=100000 "), 1e-2);
}

TEST(DeviceRun, ATrainedBackboneAndASampledSoftmaxHaveTheLossesOfTheCpu) {
  const std::string more =
      "--run.precision=fp32 --run.train_backbone=true --optimizer.item_softmax=sampled --optimizer.negatives=20 "
      "--optimizer.name=lazy_adam --mutual.epochs=0 ";
  expect_same_losses(train("cpu", 1, "cpu_variant", more), train("cuda", 2, "device_variant", more), 1e-4);
}

TEST(DeviceRun, TablesInBf16HaveTheLossesOfTheCpu) {
  const std::string more = "--run.table_precision=bf16 --optimizer.name=rowwise_adagrad --warmup.epochs=0 ";
  const fs::path cpu = train("cpu", 1, "cpu_bf16", more), device = train("cuda", 2, "device_bf16", more);
  expect_same_losses(cpu, device,
                     1e-4);  // the draws are the same; a sum in another order seldom crosses the edge of one
}

TEST(DeviceRun, AKilledRunResumesBitForBitThoughStepsOverlap) {
  const std::string more =
      "--run.precision=bf16 --run.table_precision=bf16 --checkpoint.every_steps=1 --checkpoint.keep=2 "
      "--finetune.epochs=0 ";
  const fs::path whole = train("cuda", 1, "whole", more + "--run.fetch_ahead=false "), killed = fresh_dir("killed");
  const std::string ahead = more + "--run.fetch_ahead=true ",
                    fail = "--allow-failpoints --failpoint=step.before_compute:kill@3";
  EXPECT_EQ(run(on("cuda", 1, train_arguments(killed, ahead + fail))).code, 137);
  const Finished resumed = run(on("cuda", 1, train_arguments(killed, ahead)));
  EXPECT_EQ(resumed.code, 0) << resumed.output;
  EXPECT_EQ(read_file(whole / "metrics.jsonl"), read_file(killed / "metrics.jsonl"));
}

}  // namespace
}  // namespace cllm::testing
