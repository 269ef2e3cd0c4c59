// Corpora without a part, and runs that are used from elsewhere.

#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

/// A corpus of the small world's data with another split.
fs::path corpus_split_by(const std::string& split, const std::string& name) {
  const SmallWorld& world = small_world();
  const fs::path corpus = fresh_dir(name);
  const Finished finished =
      run(cllm4rec(1, "prepare --input " + (world.root / "data").string() + " --output " + corpus.string() +
                          " --tokenizer " + (world.corpus / "tokenizer").string() + " --split " + split));
  EXPECT_EQ(finished.code, 0) << finished.output;
  return corpus;
}

Finished train(const fs::path& corpus, const fs::path& dir, const std::string& more = "") {
  return run(cllm4rec(1, "train --run.corpus=" + corpus.string() +
                             " --run.backbone=" + small_world().backbone.string() + " --run.dir=" + dir.string() +
                             " --warmup.epochs=0 --mutual.epochs=2 --finetune.epochs=2 " + more));
}

TEST(MissingPart, without_validation_the_last_state_is_kept_and_tested) {
  const fs::path corpus = corpus_split_by("time:0.8,0,0.2", "no_validation"), dir = fresh_dir("no_validation_run");
  const Finished finished = train(corpus, dir);
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output,
              HasSubstr("no user has a validation item: nothing can choose a state, the last one is kept"));
  EXPECT_THAT(finished.output, Not(HasSubstr("(best)")));
  const auto result = nlohmann::json::parse(read_file(dir / "result.json"));
  const size_t schedule = finished.output.find("schedule   ");
  ASSERT_NE(schedule, std::string::npos);
  EXPECT_EQ(result["best_step"], std::stoll(finished.output.substr(schedule + 11)));
  EXPECT_FALSE(result["test"].empty());
  EXPECT_EQ(run(cllm4rec(1, "recommend " + dir.string() + " -o " + (dir / "lists.jsonl").string())).code, 0);
}

TEST(MissingPart, without_test_the_run_is_saved_and_reported_but_not_tested) {
  for (const auto& [split, name] : {std::pair{"time:0.8,0.2,0", "no_test"}, {"time:1,0,0", "all_train"}}) {
    const fs::path corpus = corpus_split_by(split, name), dir = fresh_dir(std::string(name) + "_run");
    const Finished finished = train(corpus, dir);
    ASSERT_EQ(finished.code, 0) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("no user has a test item: the run will not be tested"));
    EXPECT_THAT(finished.output, HasSubstr("no user has a test item: not tested"));
    EXPECT_THAT(finished.output, Not(HasSubstr("0.0000")));
    EXPECT_TRUE(fs::exists(dir / "report.html"));
    EXPECT_EQ(train(corpus, dir).code, 0) << "started again";
    const Finished evaluated = run(cllm4rec(1, "evaluate " + dir.string()));
    EXPECT_EQ(evaluated.code, 64);
    EXPECT_THAT(evaluated.output, HasSubstr("has a test item: nothing to evaluate"));
    EXPECT_EQ(run(cllm4rec(1, "evaluate " + dir.string() + " --part validation")).code, split[5] == '1' ? 64 : 0);
  }
}

TEST(Choices, that_change_results_are_printed_before_the_first_step) {
  const SmallWorld& world = small_world();
  const fs::path data = fresh_dir("long_histories");
  fs::create_directories(data);
  std::ofstream rows(data / "interactions.tsv"), items(data / "items.tsv");
  rows << "user\titem\n";
  for (int item = 0; item < 200; ++item) items << "i" << item << "\tthing " << item << "\n";
  for (int user = 0; user < 3; ++user) {
    for (int item = 0; item < 190; ++item) rows << "u" << user << "\ti" << (item * 7 + user) % 200 << "\n";
  }
  rows.close();
  items.close();
  const fs::path corpus = fresh_dir("long_corpus");
  const Finished prepared =
      run(cllm4rec(1, "prepare --input " + data.string() + " --output " + corpus.string() + " --tokenizer " +
                          (world.corpus / "tokenizer").string() + " --split leave-last-out"));
  ASSERT_EQ(prepared.code, 0) << prepared.output;
  EXPECT_THAT(prepared.output, HasSubstr("no interaction has a time: the last of a user is the last in the file"));
  const Finished finished = train(corpus, fresh_dir("long_run"));
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output,
              ::testing::ContainsRegex("3 of 3 are longer than the [0-9]+ items that fit after the prompt"));
  EXPECT_THAT(finished.output, HasSubstr("times      the corpus has none"));
  EXPECT_THAT(finished.output, HasSubstr("lists leave out training items only (evaluation.mask = known"));
  const Finished known = train(corpus, fresh_dir("known_run"), "--evaluation.mask=known");
  EXPECT_THAT(known.output, HasSubstr("lists leave out training and validation items"));
}

/// A folder with copies of corpus and backbone and a run that was trained there, under relative paths.
const fs::path& home() {
  static const fs::path dir = [] {
    const SmallWorld& world = small_world();
    const fs::path made = fresh_dir("home");
    fs::create_directories(made);
    fs::copy(world.corpus, made / "c", fs::copy_options::recursive);
    fs::copy(world.backbone, made / "b", fs::copy_options::recursive);
    const Finished finished = run("cd " + made.string() + " && " +
                                  cllm4rec(1,
                                           "train --run.corpus=c --run.backbone=b --run.dir=run --warmup.epochs=0 "
                                           "--mutual.epochs=1 --finetune.epochs=1"));
    EXPECT_EQ(finished.code, 0) << finished.output;
    return made;
  }();
  return dir;
}

TEST(MovedRun, is_used_from_any_directory_and_after_all_was_moved_together) {
  const Finished here = run("cd / && " + cllm4rec(1, "evaluate " + (home() / "run").string()));
  EXPECT_EQ(here.code, 0) << here.output;
  const fs::path moved = fresh_dir("moved");
  fs::copy(home(), moved, fs::copy_options::recursive);
  fs::rename(home() / "c", home() / "hidden");
  for (const std::string command : {"evaluate ", "recommend --k 3 ", "export "})
    EXPECT_EQ(run("cd " + moved.string() + " && " + cllm4rec(1, command + "run")).code, 0) << command;
  fs::rename(home() / "hidden", home() / "c");
}

/// Of a bf16 or fp32 number: its sign.
void change_last_byte(const fs::path& path) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const auto last = static_cast<char>(file.get() ^ 0x80);
  file.seekp(-1, std::ios::end);
  file.put(last);
}

TEST(MovedRun, takes_corpus_and_backbone_from_the_command_line_but_no_other_corpus) {
  const fs::path apart = fresh_dir("apart");
  fs::create_directories(apart);
  fs::copy(home() / "run", apart / "run", fs::copy_options::recursive);
  fs::rename(home() / "c", home() / "c2");
  fs::rename(home() / "b", home() / "b2");
  const std::string run_dir = (apart / "run").string(), b = " --backbone " + (home() / "b2").string(),
                    c = " --corpus " + (home() / "c2").string();
  EXPECT_EQ(run(cllm4rec(1, "evaluate " + run_dir)).code, 65);
  EXPECT_EQ(run(cllm4rec(1, "evaluate " + run_dir + b + c)).code, 0);
  EXPECT_EQ(run(cllm4rec(2, "recommend " + run_dir + b + c + " -o " + (apart / "lists").string())).code, 0);
  EXPECT_EQ(run(cllm4rec(1, "export " + run_dir + b + c)).code, 0);
  const fs::path other = corpus_split_by("leave-last-out", "other_split");
  const Finished refused = run(cllm4rec(1, "evaluate " + run_dir + b + " --corpus " + other.string()));
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("is not the corpus that"));
  const fs::path weights = home() / "b2" / "model.safetensors";
  change_last_byte(weights);
  for (const std::string command : {"evaluate ", "recommend -o - ", "export --overwrite "}) {
    const Finished other_weights = run(cllm4rec(1, command + run_dir + b + c));
    EXPECT_EQ(other_weights.code, 64) << command;
    EXPECT_THAT(other_weights.output, HasSubstr("b2 has other weights than the backbone that")) << command;
  }
  change_last_byte(weights);
  fs::rename(home() / "c2", home() / "c");
  fs::rename(home() / "b2", home() / "b");
}

TEST(MovedRun, one_that_started_from_it_goes_on_without_it) {
  const fs::path old = fresh_dir("start_moved"), next = fresh_dir("start_next"), corpus = small_world().corpus;
  const std::string from_old = "--init.run=" + old.string();
  ASSERT_EQ(train(corpus, old).code, 0);
  ASSERT_EQ(train(corpus, next, from_old).code, 0);
  fs::rename(old, old.string() + "_away");
  const Finished again = train(corpus, next, from_old);
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("is not there any more; this run goes on from its own checkpoint"));
  EXPECT_NE(train(corpus, fresh_dir("start_late"), from_old).code, 0);
}

std::string first_user() {
  std::ifstream data(small_world().root / "data" / "users.tsv");
  std::string header, first;
  std::getline(data, header);
  std::getline(data, first, '\t');
  return first;
}

TEST(Outputs, are_never_replaced_unless_told_and_may_be_standard_output) {
  const std::string run_dir = (home() / "run").string();
  const fs::path lists = fresh_dir("outputs.jsonl");
  const std::string recommend = "recommend " + run_dir + " --k 2 -o ";
  EXPECT_EQ(run(cllm4rec(1, recommend + lists.string())).code, 0);
  const Finished again = run(cllm4rec(1, recommend + lists.string()));
  EXPECT_EQ(again.code, 64);
  EXPECT_THAT(again.output, HasSubstr("outputs.jsonl exists already: choose another --output, or say --overwrite"));
  EXPECT_EQ(run(cllm4rec(1, recommend + lists.string() + " --overwrite")).code, 0);
  const Finished packed = run(cllm4rec(1, recommend + lists.string() + ".gz"));
  EXPECT_EQ(packed.code, 64);
  EXPECT_THAT(packed.output, HasSubstr("JSON lines are written, not packed: call it NAME.jsonl"));
  const fs::path out = fresh_dir("stdout.jsonl");
  EXPECT_EQ(run("(" + cllm4rec(2, recommend + "-") + " > " + out.string() + ")").code, 0);
  EXPECT_EQ(read_file(out), read_file(lists));
  const std::string two = cllm4rec(1, recommend + "- --users "), first = fresh_dir("first.txt").string();
  std::ofstream(first) << "nobody\n" << first_user() << "\n";
  const fs::path one = fresh_dir("one.jsonl"), all = fresh_dir("all.jsonl");  // both at once, of one run
  EXPECT_EQ(run("(" + two + first + " > " + one.string() + " & " + two + "all > " + all.string() + "; wait $!)").code,
            0);
  EXPECT_EQ(read_file(all), read_file(lists));
  EXPECT_EQ(std::ranges::count(read_file(one), '\n'), 1);
  std::ofstream(first, std::ios::trunc) << "\n";
  const Finished nobody = run(cllm4rec(1, recommend + "- --users " + first));
  EXPECT_EQ(nobody.code, 64);
  EXPECT_THAT(nobody.output, HasSubstr("it names no user, and there would be no lists"));
  for (const auto& left : fs::directory_iterator(run_dir)) EXPECT_NE(left.path().extension(), ".part0") << left.path();
  const fs::path exported = fresh_dir("exported");
  const std::string export_to = "export " + run_dir + " -o " + exported.string();
  EXPECT_EQ(run(cllm4rec(1, export_to)).code, 0);
  EXPECT_EQ(run(cllm4rec(1, export_to)).code, 64);
  EXPECT_EQ(run(cllm4rec(1, export_to + " --overwrite")).code, 0);
}

TEST(AskedUsers, that_are_unknown_are_counted_and_left_out_unless_strict) {
  const fs::path users = fresh_dir("users.txt"), lists = fresh_dir("asked.jsonl");
  const std::string recommend =
      "recommend " + (home() / "run").string() + " --users " + users.string() + " -o " + lists.string();
  const std::string first = first_user();
  std::ofstream(users) << "\xEF\xBB\xBF" << first << "\r\nnobody\n\nnobody else\n";
  const Finished finished = run(cllm4rec(1, recommend));
  EXPECT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output,
              HasSubstr("2 unknown users are left out, the first: " + users.string() + ":2: user 'nobody'"));
  EXPECT_THAT(read_file(lists), ::testing::StartsWith("{\"user\":\"" + first + "\""));
  const Finished strict = run(cllm4rec(1, recommend + " --strict --overwrite"));
  EXPECT_EQ(strict.code, 64);
  EXPECT_THAT(strict.output, HasSubstr(":2: user 'nobody' is not in the corpus"));
}

}  // namespace
}  // namespace cllm::testing
