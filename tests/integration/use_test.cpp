// What a user does with a trained run, and what happens with wrong input: one line, the right exit code.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;

/// One finished run for all tests of this file.
const fs::path& trained() {
  static const fs::path dir = [] {
    const SmallWorld& world = small_world();
    const fs::path made = world.root / "trained";
    const Finished finished =
        run(cllm4rec(2, "train --run.dir=" + made.string() + " --run.corpus=" + world.corpus.string() +
                            " --run.backbone=" + world.backbone.string() +
                            " --warmup.epochs=1 --mutual.epochs=1 --finetune.epochs=1 --log.every_steps=1"));
    EXPECT_EQ(finished.code, 0) << finished.output;
    EXPECT_NE(finished.output.find(" tok/s  exposed "), std::string::npos) << finished.output;  // rank 0's lines
    return made;
  }();
  return dir;
}

std::vector<nlohmann::json> read_lines(const fs::path& path) {
  std::ifstream in(path);
  std::vector<nlohmann::json> out;
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

TEST(Use, ARunLeavesMetricsTensorBoardEventsAResultAndAReport) {
  for (const char* name : {"metrics.jsonl", "result.json", "report.html", "config.toml", "baselines.json"}) {
    EXPECT_TRUE(fs::exists(trained() / name)) << name;
  }
  EXPECT_FALSE(fs::is_empty(trained() / "tensorboard"));
  const std::string report = read_file(trained() / "report.html");
  for (const char* curve : {"C-steps", "L-steps", "finetuning steps", "validation metrics"})
    EXPECT_NE(report.find(curve), std::string::npos) << curve;
}

TEST(Use, EvaluatePrintsAnyCutOffAndWritesOneLinePerUserWhateverTheNumberOfRanks) {
  std::string tables[2];
  for (const int ranks : {1, 2}) {
    const fs::path file = small_world().root / ("per_user_" + std::to_string(ranks) + ".jsonl");
    const Finished finished = run(
        cllm4rec(ranks, "evaluate " + trained().string() + " --recall-k 5,7 --ndcg-k 9 --per-user " + file.string()));
    ASSERT_EQ(finished.code, 0) << finished.output;
    EXPECT_NE(finished.output.find("recall@7"), std::string::npos);
    auto lines = read_lines(file);
    EXPECT_GT(lines.size(), 100u);
    std::sort(lines.begin(), lines.end());
    for (const auto& line : lines) tables[ranks - 1] += line.dump() + "\n";
  }
  EXPECT_EQ(tables[0], tables[1]);
}

TEST(Use, RecommendStreamsRawIdsWithoutSeenItemsWhateverTheNumberOfRanks) {
  std::string files[2];
  for (const int ranks : {1, 3}) {
    const fs::path file = small_world().root / ("top_" + std::to_string(ranks) + ".jsonl");
    const Finished finished =
        run(cllm4rec(ranks, "recommend " + trained().string() + " --k 5 --output " + file.string()));
    ASSERT_EQ(finished.code, 0) << finished.output;
    files[ranks == 3] = read_file(file);
  }
  EXPECT_EQ(files[0], files[1]);

  std::map<std::string, std::set<std::string>> seen;
  std::ifstream interactions(small_world().root / "data" / "interactions.tsv");
  for (std::string user, item, rest;
       std::getline(interactions, user, '\t') && std::getline(interactions, item, '\t');) {
    std::getline(interactions, rest);
    seen[user].insert(item);
  }
  const auto lines = read_lines(small_world().root / "top_1.jsonl");
  ASSERT_EQ(lines.size(), 120u);
  for (const auto& line : lines) {
    const auto& known = seen.at(line.at("user").get<std::string>());
    EXPECT_EQ(line.at("items").size(), std::min<size_t>(5, 50 - known.size()));
    for (const auto& item : line.at("items")) {
      EXPECT_FALSE(known.contains(item.at("item").get<std::string>())) << line.dump();
    }
  }
}

TEST(Use, ExportIsTheSameFromAnyNumberOfRanks) {
  std::string bytes[2];
  for (const int ranks : {1, 3}) {
    const fs::path out = small_world().root / ("export_" + std::to_string(ranks));
    const Finished finished = run(cllm4rec(ranks, "export " + trained().string() + " --output " + out.string()));
    ASSERT_EQ(finished.code, 0) << finished.output;
    for (const char* name : {"embeddings.safetensors", "l_item.npy", "user_ids.txt", "recllm/model.safetensors",
                             "recllm/config.json", "recllm/tokenizer.json"}) {
      bytes[ranks == 3] += read_file(out / name);
    }
  }
  EXPECT_TRUE(bytes[0] == bytes[1]);
}

struct BadInput {
  const char* name;
  std::string arguments;
  int code;
  std::string says;
};

fs::path unknown_user() {
  const fs::path file = small_world().root / "unknown_user";
  std::ofstream(file) << "nobody\n";
  return file;
}

std::vector<BadInput> bad_inputs() {
  const SmallWorld& world = small_world();
  const std::string corpus = " --run.corpus=" + world.corpus.string(),
                    backbone = " --run.backbone=" + world.backbone.string();
  const std::string dir = " --run.dir=" + (world.root / "bad").string();
  return {{"no corpus", "train" + backbone + dir, 64, "run.corpus"},
          {"unknown key", "train --mutual.epoch=3", 64, "epochs"},
          {"wrong type", "train --mutual.epochs=many", 64, "many"},
          {"missing backbone", "train --run.backbone=/nowhere" + corpus + dir, 65, "/nowhere"},
          {"missing corpus", "train --run.corpus=/nowhere" + backbone + dir, 65, "/nowhere"},
          {"no run", "evaluate /nowhere", 64, "/nowhere"},
          {"unknown user", "recommend " + trained().string() + " --users " + unknown_user().string(), 64, "nobody"},
          {"unknown command", "trian", 64, "trian"}};
}

TEST(Use, CheckpointVerifyAcceptsWhatWasWrittenAndRefusesAFlippedByteWith66) {
  const fs::path copy = small_world().root / "copy_of_trained";
  fs::remove_all(copy);
  fs::copy(trained(), copy, fs::copy_options::recursive);
  EXPECT_EQ(run(cllm4rec(1, "checkpoint verify " + copy.string())).code, 0);
  for (const auto& entry : fs::recursive_directory_iterator(copy / "checkpoints")) {
    if (entry.path().extension() != ".h5") continue;
    std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(-100, std::ios::end);
    const char byte = static_cast<char>(file.peek() ^ 1);
    file.seekp(-100, std::ios::end);
    file.put(byte);
    break;
  }
  const Finished damaged = run(cllm4rec(1, "checkpoint verify " + copy.string()));
  EXPECT_EQ(damaged.code, 66) << damaged.output;
  EXPECT_EQ(run(cllm4rec(1, "checkpoint show " + trained().string())).code, 0);
}

TEST(Use, CheckpointListDiffAndPruneSayWhatTheyFindAndKeepTheBestAndTheNewest) {
  const fs::path copy = small_world().root / "pruned";
  fs::remove_all(copy);
  fs::copy(trained(), copy, fs::copy_options::recursive);
  const auto checkpoint = [&](const std::string& arguments) { return run(cllm4rec(1, "checkpoint " + arguments)); };
  const Finished list = checkpoint("list " + copy.string());
  EXPECT_EQ(list.code, 0);
  EXPECT_NE(list.output.find("best"), std::string::npos) << list.output;
  EXPECT_NE(list.output.find("complete"), std::string::npos) << list.output;

  std::string best = read_file(copy / "checkpoints" / "best.pin");
  best.pop_back();
  EXPECT_EQ(checkpoint("diff " + copy.string() + " " + trained().string()).code, 0);
  fs::copy(copy / "checkpoints" / best, copy / "checkpoints" / "step-0000000001",
           fs::copy_options::recursive);  // a wrong step: refused
  EXPECT_NE(checkpoint("list " + copy.string()).output.find("refused: "), std::string::npos);
  EXPECT_NE(checkpoint("prune --keep-last 1 --dry-run " + copy.string()).output.find("would remove"),
            std::string::npos);
  EXPECT_TRUE(fs::exists(copy / "checkpoints" / "step-0000000001"));
  EXPECT_EQ(checkpoint("prune --keep-last 1 " + copy.string()).code, 0);
  EXPECT_FALSE(fs::exists(copy / "checkpoints" / "step-0000000001"));
  EXPECT_TRUE(fs::exists(copy / "checkpoints" / best));
  EXPECT_EQ(checkpoint("verify " + copy.string()).code, 0);
}

TEST(Use, WrongInputGetsOneLineAndItsExitCode) {
  for (const BadInput& bad : bad_inputs()) {
    const Finished finished = run(cllm4rec(1, bad.arguments));
    EXPECT_EQ(finished.code, bad.code) << bad.name << ": " << finished.output;
    EXPECT_NE(finished.output.find(bad.says), std::string::npos) << bad.name << ": " << finished.output;
    const auto position = finished.output.find("cllm4rec: ");
    ASSERT_NE(position, std::string::npos) << bad.name << ": " << finished.output;
    EXPECT_EQ(finished.output.find('\n', position), finished.output.size() - 1) << bad.name << ": " << finished.output;
  }
}

TEST(Use, WrongInputUnderMpirunEndsAllRanksWithTheSameCode) {
  const Finished finished = run(cllm4rec(
      3, "train --run.corpus=/nowhere --run.backbone=/nowhere --run.dir=" + (small_world().root / "bad").string()));
  EXPECT_EQ(finished.code, 65) << finished.output;
  const auto first = finished.output.find("cllm4rec: ");
  EXPECT_NE(first, std::string::npos) << finished.output;
  EXPECT_EQ(finished.output.find("cllm4rec: ", first + 1), std::string::npos)
      << "more than one line: " << finished.output;
}

}  // namespace
}  // namespace cllm::testing
