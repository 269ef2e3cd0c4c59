// A run that learns from another run's lists.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace teacher_runs {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string teacher_arguments(const fs::path& dir, const std::string& more = "") {
  return "train --model.name=multi_vae --multi_vae.hidden=16 --multi_vae.latent=8 --multi_vae.batch_users=20 "
         "--multi_vae.epochs=2 --run.dir=" +
         dir.string() + " --run.corpus=" + small_world().corpus.string() + " " + more;
}

std::string taught_arguments(const fs::path& dir, const fs::path& teacher, const std::string& more = "") {
  return "train --run.dir=" + dir.string() + " --run.corpus=" + small_world().corpus.string() +
         " --run.backbone=" + small_world().backbone.string() +
         " --run.recipe=sets --mutual.epochs=2 --teacher.holdout=none "
         "--log.every_steps=1 --teacher.model=" +
         teacher.string() + " " + more;
}

TEST(TeacherRun, TeachesOnAnyNumberOfRanksAndIsKnownWhenTheRunGoesOn) {
  const fs::path teacher = fresh_dir("teacher"), one = fresh_dir("taught_1"), two = fresh_dir("taught_2");
  ASSERT_EQ(run(cllm4rec(1, teacher_arguments(teacher))).code, 0);
  const Finished alone = run(cllm4rec(1, taught_arguments(one, teacher, "--run.precision=fp64")));
  ASSERT_EQ(alone.code, 0) << alone.output;
  EXPECT_THAT(alone.output, HasSubstr("teacher    the run " + teacher.string() +
                                      ", which has seen the histories that it teaches; asked once for every position, "
                                      "by the items shown: "));
  ASSERT_EQ(run(cllm4rec(2, taught_arguments(two, teacher, "--run.precision=fp64"))).code, 0);
  const auto losses = losses_of(one), same = losses_of(two);
  ASSERT_EQ(losses.size(), same.size());
  for (size_t n = 0; n < losses.size(); ++n) EXPECT_NEAR(losses[n], same[n], 1e-5 * losses[n]);

  const std::string on_two = taught_arguments(two, teacher, "--run.precision=fp64");
  EXPECT_EQ(run(cllm4rec(2, on_two)).code, 0);  // it is done: only tested again
  ASSERT_EQ(run(cllm4rec(1, teacher_arguments(teacher, "--fresh --multi_vae.epochs=3"))).code, 0);
  const Finished other = run(cllm4rec(2, on_two));
  EXPECT_EQ(other.code, 64);
  EXPECT_THAT(other.output, HasSubstr("learned from another state of teacher.model"));
  fs::remove_all(teacher);
  EXPECT_EQ(run(cllm4rec(1, "evaluate " + two.string())).code, 0);  // lists need no teacher
}

TEST(TeacherRun, WhatCannotTeachIsRefusedInOneLine) {
  const fs::path folder = fresh_dir("no_teacher"), dir = fresh_dir("untaught");
  fs::create_directories(folder);
  const fs::path data = folder / "data", corpus = folder / "corpus", stranger = folder / "stranger";
  for (const std::string& arguments :
       {"demo-data " + data.string() + " --users 30 --items 40",
        "prepare --input " + data.string() + " --output " + corpus.string() + " --tokenizer " +
            (small_world().corpus / "tokenizer").string(),
        "train --model.name=popularity --run.dir=" + stranger.string() + " --run.corpus=" + corpus.string()}) {
    const Finished finished = run(cllm4rec(1, arguments));
    ASSERT_EQ(finished.code, 0) << finished.output;
  }
  for (const auto& [arguments, line] : std::vector<std::pair<std::string, std::string>>{
           {taught_arguments(dir, "eaes"), "nor the folder of a run"},
           {taught_arguments(dir, folder), "is no run folder"},
           {taught_arguments(dir, stranger), "was trained on another corpus than"},
           {taught_arguments(dir, folder, "--teacher.holdout=leave_one_out"), "set teacher.holdout = \"none\""}}) {
    const Finished finished = run(cllm4rec(1, arguments));
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr(line));
  }
}

}  // namespace teacher_runs

}  // namespace
}  // namespace cllm::testing
