// Files as publishers write them (tests/data/layouts), from the folder to lists: prepared, trained for a step,
// inspected.

#include <gmock/gmock.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::vector<fs::path> folders_in(const fs::path& place) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(place)) {
    if (entry.is_directory()) out.push_back(entry.path());
  }
  std::ranges::sort(out);
  return out;
}

/// The corpus' counts as `inspect` shows them.
void expect_trained(const fs::path& input, const std::vector<std::string>& inspected) {
  const SmallWorld& world = small_world();
  const std::string name = input.filename().string();
  const fs::path corpus = fresh_dir(name + "_corpus"), dir = fresh_dir(name + "_run");
  const Finished prepared =
      run(cllm4rec(1, "prepare --split leave-last-out --input " + input.string() + " --output " + corpus.string() +
                          " --tokenizer " + (world.corpus / "tokenizer").string()));
  if (prepared.output.find("this build has no") != std::string::npos) return;  // zstd or Arrow
  ASSERT_EQ(prepared.code, 0) << name << "\n" << prepared.output;
  const Finished trained =
      run(cllm4rec(1, "train --run.corpus=" + corpus.string() + " --run.dir=" + dir.string() +
                          " --run.backbone=" + world.backbone.string() +
                          " --warmup.epochs=0 --mutual.epochs=1 --finetune.epochs=0 --loss.lambda=0" +
                          " --mutual.content_epochs=false --log.report=false --log.tensorboard=false"));
  EXPECT_EQ(trained.code, 0) << name << "\n" << trained.output;
  EXPECT_THAT(trained.output, HasSubstr("test, state of step 1")) << name;
  const std::string shown = run(cllm4rec(1, "inspect " + corpus.string())).output;
  for (const std::string& part : inspected) EXPECT_THAT(shown, HasSubstr(part)) << name;
}

TEST(PublicLayouts, AreTrainedForAStep) {
  const fs::path root = fresh_dir("layouts");
  ASSERT_EQ(run("python3 " CLLM_SOURCE_DIR "/tests/data/layouts/make " + root.string()).code, 0);
  const auto folders = folders_in(root);
  EXPECT_GE(folders.size(), 22u);
  for (const fs::path& input : folders) {
    const auto expected = nlohmann::json::parse(read_file(input.string() + ".json"));
    expect_trained(
        input, {"users", std::to_string(expected["users"].get<int>()), std::to_string(expected["items"].get<int>())});
  }
}

TEST(PublicLayouts, OfParquetAreTrainedForAStep) {
  const std::string python = CLLM_PARQUET_PYTHON;
  if (python.empty()) GTEST_SKIP() << "no pyarrow to write files with";
  const fs::path root = fresh_dir("parquet");
  ASSERT_EQ(run(python + " " CLLM_SOURCE_DIR "/tests/data/layouts/make_parquet " + root.string()).code, 0);
  for (const char* const name : {"snappy", "zstd", "spark", "hive", "parts"}) expect_trained(root / name, {"6", "7"});
}

}  // namespace
}  // namespace cllm::testing
