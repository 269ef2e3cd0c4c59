// What a finished run is used for outside: its card, lists from within another program, an export that proves itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "launch/serving/cllm4rec_recommend.h"
#include "tests/integration/program.h"

namespace cllm::testing {
namespace {
namespace serving {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path& served_run() {
  static const fs::path made = [] {
    const fs::path dir = fresh_dir("served");
    const Finished finished =
        run(cllm4rec(1, "train --run.dir=" + dir.string() + " --run.corpus=" + small_world().corpus.string() +
                            " --run.backbone=" + small_world().backbone.string() +
                            " --prompts.user_token=dropped --warmup.epochs=0 --mutual.epochs=1 --finetune.epochs=1"
                            " --log.report=false --log.tensorboard=false"));
    EXPECT_EQ(finished.code, 0) << finished.output;
    return dir;
  }();
  return made;
}

/// Lines of `recommend`, by user.
std::map<std::string, nlohmann::json> recommended(const std::string& more) {
  const Finished finished = run(cllm4rec(1, "recommend " + served_run().string() + " --k 10 -o - " + more));
  EXPECT_EQ(finished.code, 0) << finished.output;
  std::map<std::string, nlohmann::json> out;
  std::istringstream in(finished.output);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("{")) continue;
    const auto record = nlohmann::json::parse(line);
    out[record.at("user")] = record.at("items");
  }
  return out;
}

void expect_same(const cllm4rec::Answer& answer, const nlohmann::json& items) {
  ASSERT_EQ(answer.problem, "");
  ASSERT_EQ(answer.items.size(), items.size());
  for (size_t n = 0; n < items.size(); ++n) {
    EXPECT_EQ(answer.items[n].id, items[n].at("item"));
    EXPECT_NEAR(answer.items[n].score, items[n].at("score").get<double>(), 1e-4);  // other batches round otherwise
  }
}

TEST(Serving, TheExampleServesAHistoryAsRecommendDoes) {
  const fs::path file = small_world().root / "one_history.tsv";
  const std::string some_user = recommended("").begin()->first;
  const auto items = recommended("").begin()->second;
  std::string words;
  std::ofstream rows(file);
  rows << "user\titem\ttime\n";
  for (size_t n = 0; n < 4; ++n) {
    words += " " + items[n].at("item").get<std::string>();
    rows << "somebody\t" << items[n].at("item").get<std::string>() << '\t' << n << '\n';
  }
  rows.close();
  const auto expected = recommended("--histories " + file.string()).at("somebody");
  const Finished finished =
      run("OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 " +
          std::string(CLLM_BINARY_DIR) + "/cllm4rec_example " + served_run().string() + " --history" + words);
  EXPECT_EQ(finished.code, 0) << finished.output;
  size_t at = finished.output.find("somebody:");
  for (const auto& item : expected) {
    at = finished.output.find("\n  " + item.at("item").get<std::string>() + "  ", at);
    ASSERT_NE(at, std::string::npos) << item << finished.output;
  }
}

TEST(Serving, AnExportProvesItselfAndAChangedOneDoesNot) {
  const fs::path out = small_world().root / "proved";
  const bool faiss = fs::exists(fs::path(CLLM_BINARY_DIR) / "cllm4rec_faiss.so");
  const std::string how = "export " + served_run().string() + " --prove -o " + out.string() + (faiss ? " --faiss" : "");
  const Finished finished = run(cllm4rec(2, how));
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("proved: 100 lists of 20 recomputed from ranked_items.npy"));
  if (faiss) {
    EXPECT_THAT(finished.output, HasSubstr("Faiss IndexFlatIP: the same lists"));
    EXPECT_THAT(finished.output, HasSubstr("Faiss IndexHNSWFlat: "));
  } else {
    const Finished refused = run(cllm4rec(1, how + " --faiss --overwrite"));
    EXPECT_EQ(refused.code, 64);
    EXPECT_THAT(refused.output, HasSubstr("install libfaiss-dev"));
  }
  // A row of an item that is in a list, changed: the folder is asked again, and not written.
  const auto proof = nlohmann::json::parse(read_file(out / "proof.json"));
  EXPECT_EQ(proof.at("users").size(), 100u);
  EXPECT_FALSE(proof.at("users")[0].at("tokens").empty());
  const fs::path rows = out / "ranked_items.npy";
  std::string bytes = read_file(rows);
  const size_t width = (bytes.size() - 128) / 50, best = proof.at("users")[0].at("items")[0].get<size_t>();
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(128 + best * width), width, '\0');
  std::ofstream(rows, std::ios::binary) << bytes;
  const Finished differs = run(cllm4rec(1, how));
  EXPECT_EQ(differs.code, 64) << differs.output;
  EXPECT_THAT(differs.output, HasSubstr("are not those of the run: user "));
}

TEST(Serving, AFinishedRunHasACardWithIntervals) {
  const auto card = nlohmann::json::parse(read_file(served_run() / "card.json"));
  const auto result = nlohmann::json::parse(read_file(served_run() / "result.json"));
  for (const auto& [name, value] : result.at("test").items()) {
    const auto& metric = card.at("test").at(name);
    EXPECT_EQ(metric.at("value"), value);
    EXPECT_LE(metric.at("95 %")[0], metric.at("95 %")[1]);
  }
  EXPECT_EQ(card.at("data").at("users"), 120);
  EXPECT_THAT(card.at("protocol").get<std::string>(), HasSubstr("part test"));
  EXPECT_THAT(read_file(served_run() / "README.md"), HasSubstr("| recall@20 | "));
  EXPECT_THAT(read_file(served_run() / "README.md"), HasSubstr("* licence: "));
  const fs::path publish = fs::path(CLLM_SOURCE_DIR) / "launch" / "publish";
  const Finished nowhere = run(publish.string() + " " + served_run().string());
  EXPECT_EQ(nowhere.code, 64);
  EXPECT_THAT(nowhere.output, HasSubstr("say where to: --mlflow URI"));
}

// The last: the library begins MPI in this process.
TEST(Serving, ALibraryGivesTheListsOfRecommendToSeveralThreadsAtOnce) {
  cllm4rec::Options options;
  options.threads = 1;
  options.most_at_once = 16;
  cllm4rec::Recommender library(served_run().string(), options);
  const auto expected = recommended("");
  ASSERT_EQ(expected.size(), 120u);
  std::vector<cllm4rec::Question> questions;
  for (const auto& [user, items] : expected) questions.push_back({user, {}});
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      const std::vector<cllm4rec::Question> own(questions.begin() + 40 * t, questions.begin() + 40 * (t + 1));
      const auto answers = library.answer(own, 10);
      for (size_t n = 0; n < own.size(); ++n) expect_same(answers[n], expected.at(own[n].user));
    });
  }
  for (std::thread& thread : threads) thread.join();

  const auto answers = library.answer({{"nobody", {}}, {"", {"nothing"}}, questions[0]}, 3);
  EXPECT_THAT(answers[0].problem, HasSubstr("\"nobody\" is not in the corpus"));
  EXPECT_THAT(answers[1].problem, HasSubstr("no item of the history"));
  EXPECT_EQ(answers[1].unknown_items, 1u);
  EXPECT_EQ(answers[2].items.size(), 3u);
  EXPECT_THROW(cllm4rec::Recommender("/nowhere", options), std::runtime_error);
}

}  // namespace serving
}  // namespace
}  // namespace cllm::testing
