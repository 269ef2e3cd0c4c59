// A corpus grows by some days, a run goes on with it, and users that no corpus has are recommended to.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "data/corpus/corpus.h"
#include "tests/integration/program.h"

namespace cllm::testing {
namespace {
namespace growth {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string train_arguments(const fs::path& dir, const fs::path& corpus, const std::string& more) {
  return "train --run.dir=" + dir.string() + " --run.corpus=" + corpus.string() +
         " --run.backbone=" + small_world().backbone.string() +
         " --prompts.user_token=off --warmup.epochs=0 --mutual.epochs=1 --finetune.epochs=1 --optimizer.name=adam"
         " --log.report=false --log.tensorboard=false " +
         more;
}

/// The small world's corpus, two users and two items later.
const fs::path& grown_corpus() {
  static const fs::path made = [] {
    const fs::path days = fresh_dir("days"), out = fresh_dir("grown");
    fs::create_directories(days);
    const Corpus old = Corpus::open(small_world().corpus);
    std::ofstream rows(days / "interactions.tsv");
    rows << "user\titem\ttime\n";
    for (const char* user : {"newcomer-1", "newcomer-2"}) {
      for (int n = 0; n < 4; ++n) rows << user << '\t' << old.item_raw_id(n) << "\t" << 9000 + n << '\n';
      rows << user << "\tnovelty-1\t9100\n" << user << "\tnovelty-2\t9101\n";
    }
    rows << old.user_raw_id(0) << "\tnovelty-1\t9200\n";
    rows.close();
    const Finished finished = run(cllm4rec(1, "prepare --extend " + small_world().corpus.string() + " --input " +
                                                  days.string() + " --output " + out.string()));
    EXPECT_EQ(finished.code, 0) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("2 users and 2 items are new"));
    return out;
  }();
  return made;
}

/// What a run with rows of texts is trained with besides.
const std::string kOfTexts =
    " --optimizer.name=lazy_adam --loss.lambda=0 --rows.text.source=tf-idf --rows.text.dims=4 --finetune.epochs=0"
    " --mutual.content_epochs=false";

/// Items that no corpus has: two with the text of the first item of the small world, and one without any.
const fs::path& new_items() {
  static const fs::path made = [] {
    const fs::path out = small_world().root / "arrivals.tsv";
    std::ifstream items(small_world().root / "data" / "items.tsv");
    std::string first;
    std::getline(items, first);  // the header
    std::getline(items, first);
    std::ofstream(out) << "item\ttext\narrival-1\t" << first.substr(first.find('\t') + 1)
                       << "\narrival-2\t\narrival-3\t" << first.substr(first.find('\t') + 1) << '\n';
    return out;
  }();
  return made;
}

/// Every user's scores by raw item ids.
std::map<std::string, std::map<std::string, double>> scores(const std::string& arguments, int ranks) {
  const std::string file = arguments.substr(0, arguments.find(' ')) + "/lists.jsonl";
  const Finished finished = run(cllm4rec(ranks, "recommend " + arguments + " --overwrite -o " + file));
  EXPECT_EQ(finished.code, 0) << finished.output;
  std::map<std::string, std::map<std::string, double>> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto list = nlohmann::json::parse(line);
    auto& of_user = out[list.at("user")];
    for (const auto& item : list.at("items")) of_user[item.at("item")] = item.at("score");
  }
  return out;
}

const fs::path& old_run() {
  static const fs::path made = [] {
    const fs::path dir = fresh_dir("before_growth");
    const Finished finished = run(cllm4rec(2, train_arguments(dir, small_world().corpus, "")));
    EXPECT_EQ(finished.code, 0) << finished.output;
    return dir;
  }();
  return made;
}

/// The rows of an exported table.
std::vector<std::vector<float>> npy(const fs::path& path) {
  const std::string bytes = read_file(path);
  const size_t header = 10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<unsigned char>(bytes[9]);
  const size_t shape = bytes.find("'shape': (");
  const size_t rows = std::stoul(bytes.substr(shape + 10));
  const auto* values = reinterpret_cast<const float*>(bytes.data() + header);
  const size_t width = (bytes.size() - header) / 4 / rows;
  std::vector<std::vector<float>> out;
  for (size_t n = 0; n < rows; ++n) out.emplace_back(values + n * width, values + (n + 1) * width);
  return out;
}

std::vector<std::vector<float>> exported(const fs::path& run_dir, const std::string& table) {
  if (!fs::exists(run_dir / "export")) {
    EXPECT_EQ(run(cllm4rec(1, "export " + run_dir.string())).code, 0);
  }
  return npy(run_dir / "export" / (table + ".npy"));
}

TEST(Growth, ARunGoesOnWithItsRowsByIdAndNewOnesStartFromTheirMean) {
  const fs::path dir = fresh_dir("after_growth");
  // So small a rate that rows stay where they start.
  const Finished finished = run(cllm4rec(3, train_arguments(dir, grown_corpus(),
                                                            "--init.run=" + old_run().string() +
                                                                " --data.only=new --mutual.learning_rate=1e-12 "
                                                                "--finetune.learning_rate=1e-12")));
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("it has rows of 120 of 122 users and 50 of 52 items; the others start from"));
  EXPECT_THAT(finished.output, HasSubstr("collaborative (L)   3 sequences")) << "only users with news";
  for (const auto& [table, count] : {std::pair{"l_user", 120u}, {"l_item", 50u}, {"c_item", 50u}}) {
    const auto before = exported(old_run(), table), after = exported(dir, table);
    ASSERT_EQ(before.size(), count);
    ASSERT_EQ(after.size(), count + 2);
    for (size_t d = 0; d < before[0].size(); ++d) {
      double mean = 0;
      for (size_t n = 0; n < count; ++n) {
        ASSERT_NEAR(after[n][d], before[n][d], 1e-6) << table << " " << n;
        mean += double{before[n][d]} / count;
      }
      for (size_t n = count; n < count + 2; ++n) ASSERT_NEAR(after[n][d], mean, 1e-6) << table << " " << n;
    }
  }
}

TEST(Growth, WhatCannotGoOnIsRefusedInOneLine) {
  const std::string old = small_world().corpus.string(), grown = grown_corpus().string(), news = fresh_dir("news");
  const auto refused = [](const std::string& arguments, const std::string& says) {
    const Finished finished = run(cllm4rec(1, arguments));
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr(says));
  };
  refused(train_arguments(news, old, "--data.only=new"), "extends no other corpus");
  refused("train --model.name=ease --run.dir=" + news + " --run.corpus=" + grown + " --data.only=new",
          "ease learns from all of the corpus");
  refused(train_arguments(news, grown, "--data.only=new"), "\"new\" without init.run: what is old");
  const fs::path dealt = fresh_dir("dealt_texts");
  const std::string shuffled = kOfTexts + " --rows.text.shuffle=true";
  const Finished trained = run(cllm4rec(1, train_arguments(dealt, old, shuffled)));
  ASSERT_EQ(trained.code, 0) << trained.output;
  refused(train_arguments(fresh_dir("grown_texts"), grown, shuffled + " --init.run=" + dealt.string()),
          "rows.text.shuffle = true: texts were dealt");
  const fs::path popularity = fresh_dir("popular");
  const Finished counted = run(cllm4rec(1, "train --model.name=popularity --run.dir=" + popularity.string() +
                                               " --run.corpus=" + old + " --log.report=false --log.tensorboard=false"));
  ASSERT_EQ(counted.code, 0) << counted.output;
  refused("recommend " + popularity.string() + " -o - --add-items " + new_items().string(),
          "to which an item without interactions is nothing");
  refused("recommend " + old_run().string() + " -o - --add-items " + new_items().string(),
          "train it with rows.text.source");
  std::ofstream(small_world().root / "none.txt") << "\n";
  const std::string none = " -o - --only-items " + (small_world().root / "none.txt").string();
  refused("recommend " + old_run().string() + none, "it names no item");
  refused(train_arguments(dealt, old, shuffled + " --fresh --init.run=" + dealt.string()), "is this run itself");
  EXPECT_EQ(run(cllm4rec(1, "evaluate " + dealt.string() + " --no-baselines")).code, 0) << "nothing of it is lost";
  refused("recommend " + dealt.string() + " -o - --add-items nowhere.csv", "nowhere.csv: no such file");
  const fs::path others = small_world().root / "others.tsv", of_others = fresh_dir("of_others");
  std::ofstream(others) << "user\titem\nother1\tthing1\n";
  const std::string tokenizer = " --tokenizer " + (small_world().corpus / "tokenizer").string();
  run(cllm4rec(1, "prepare --input " + others.string() + " --output " + of_others.string() + tokenizer));
  refused(train_arguments(fresh_dir("no_relation"), of_others, "--init.run=" + old_run().string()),
          "has rows of no user and no item of run.corpus");
  refused("prepare --extend " + old + " --input x --output y --seed 3", "--seed is that of the corpus");
}

TEST(Growth, ItemsThatARunNeverSawScoreByTheirTextsAsOnACorpusThatHasThem) {
  const fs::path dir = fresh_dir("rows_of_texts"), input = fresh_dir("arrivals"), grown = fresh_dir("with_arrivals"),
                 on = fresh_dir("on_arrivals");
  const Finished trained = run(cllm4rec(1, train_arguments(dir, small_world().corpus, kOfTexts)));
  ASSERT_EQ(trained.code, 0) << trained.output;
  fs::create_directories(input);
  fs::copy_file(new_items(), input / "items.tsv");
  std::ofstream(input / "interactions.tsv") << "user\titem\n";
  const Finished prepared = run(cllm4rec(1, "prepare --extend " + small_world().corpus.string() + " --input " +
                                                input.string() + " --output " + grown.string()));
  ASSERT_EQ(prepared.code, 0) << prepared.output;
  // So small a rate that rows stay where they start.
  const Finished went_on = run(
      cllm4rec(2, train_arguments(on, grown, kOfTexts + " --mutual.learning_rate=1e-12 --init.run=" + dir.string())));
  ASSERT_EQ(went_on.code, 0) << went_on.output;

  const std::string added = dir.string() + " --k 53 --add-items " + new_items().string();
  const auto here = scores(added, 2), there = scores(on.string() + " --k 53", 1), before = scores(dir.string(), 1);
  ASSERT_EQ(here.size(), 120u);
  EXPECT_THAT(run(cllm4rec(1, "recommend " + added + " -o -")).output,
              HasSubstr("added 3 items of " + new_items().string() +
                        "; 1 of them have no text and rank by the mean of all items' rows, the first: 'arrival-2'"));
  const Corpus corpus = Corpus::open(small_world().corpus);
  std::ifstream items(small_world().root / "data" / "items.tsv");
  std::string twin;
  std::getline(items, twin);  // the header
  std::getline(items, twin, '\t');
  int twins = 0;
  double apart = 0;
  for (const auto& [user, of_user] : here) {
    const auto& other = there.at(user);
    ASSERT_EQ(of_user.size(), other.size());
    ASSERT_TRUE(of_user.contains("arrival-1") && of_user.contains("arrival-2"));
    for (const auto& [item, score] : of_user) EXPECT_NEAR(score, other.at(item), 1e-5) << user << " " << item;
    for (const auto& [item, score] : before.at(user)) EXPECT_NEAR(score, of_user.at(item), 1e-5) << user << " " << item;
    // Without a part of their own, the same text is the same row.
    EXPECT_NEAR(of_user.at("arrival-1"), of_user.at("arrival-3"), 1e-6);
    apart += std::abs(of_user.at("arrival-1") - of_user.at("arrival-2"));
    if (!of_user.contains(twin)) continue;
    ++twins;
    EXPECT_LT(std::abs(of_user.at("arrival-1") - of_user.at(twin)),
              0.5 * std::abs(of_user.at("arrival-2") - of_user.at(twin)) + 0.05)
        << "the same text, but for the other's bounded part of its own";
  }
  EXPECT_GT(twins, 10);
  EXPECT_GT(apart / static_cast<double>(here.size()), 1e-3) << "texts are read at all";
  for (const auto& left : fs::directory_iterator(dir))
    EXPECT_THAT(left.path().filename().string(), ::testing::Not(HasSubstr("tmp-added")));

  const fs::path only = small_world().root / "only.txt";
  std::ofstream(only) << "arrival-1\n" << twin << "\nno such item\n";
  const std::string columns = " --columns user=reader,item=item,text=text --only-items ";  // a reader of --histories
  for (const auto& [user, of_user] : scores(added + columns + only.string(), 1)) {
    EXPECT_LE(of_user.size(), 2u);
    for (const auto& [item, score] : of_user) EXPECT_NEAR(score, here.at(user).at(item), 1e-5);
  }
}

TEST(Growth, RunsThatStartedFromEachOtherAreNotFollowedForEver) {
  const fs::path one = fresh_dir("start_one"), other = fresh_dir("start_other");
  const auto train = [&](const fs::path& dir, const std::string& more) {
    const Finished finished = run(cllm4rec(1, train_arguments(dir, small_world().corpus, kOfTexts + more)));
    EXPECT_EQ(finished.code, 0) << finished.output;
  };
  train(one, "");
  train(other, " --init.run=" + one.string());
  train(one, " --fresh --init.run=" + other.string());
  train(other, " --fresh --init.run=" + one.string());
}

TEST(Growth, HistoriesOfUnseenUsersGetTheListsOfUsersOfTheCorpus) {
  const Corpus corpus = Corpus::open(small_world().corpus);
  const fs::path histories = small_world().root / "histories.csv";
  std::vector<int64_t> users;
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) users.push_back(user);
  std::ranges::sort(users, {}, [&](int64_t user) { return corpus.user_input_order(user); });
  std::ofstream rows(histories);
  rows << "user,item,time\n";
  for (const int64_t user : users) {
    int time = 100;
    for (const int32_t item : corpus.history(user, Part::kTrain))
      rows << "folded " << corpus.user_raw_id(user) << ',' << corpus.item_raw_id(item) << ',' << ++time << '\n';
  }
  rows << "stranger,nothing known,1\n";
  rows.close();
  const auto lists = [&](const std::string& how) {
    const Finished finished = run(cllm4rec(1, "recommend " + old_run().string() + " --k 50 -o - " + how));
    EXPECT_EQ(finished.code, 0) << finished.output;
    if (how != "") {
      EXPECT_THAT(finished.output, HasSubstr("1 users have no item of the corpus"));
    }
    std::vector<nlohmann::json> out;
    std::istringstream in(finished.output);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("{")) out.push_back(nlohmann::json::parse(line));
    }
    return out;
  };
  const auto known = lists(""), folded = lists("--histories " + histories.string());
  ASSERT_EQ(known.size(), 120u);
  ASSERT_EQ(folded.size(), 120u);
  for (size_t n = 0; n < known.size(); ++n) {
    EXPECT_EQ(folded[n].at("user"), "folded " + known[n].at("user").get<std::string>());
    const int64_t user = *corpus.find_user(known[n].at("user").get<std::string>());
    std::set<std::string> held_out;  // no list of --users has them
    for (const Part part : {Part::kValidation, Part::kTest}) {
      for (const int32_t item : corpus.items(user, part)) held_out.emplace(corpus.item_raw_id(item));
    }
    nlohmann::json rest = nlohmann::json::array();
    for (const auto& item : folded[n].at("items")) {
      if (!held_out.contains(item.at("item").get<std::string>())) rest.push_back(item);
    }
    EXPECT_EQ(rest, known[n].at("items"));
  }
}

}  // namespace growth
}  // namespace
}  // namespace cllm::testing
