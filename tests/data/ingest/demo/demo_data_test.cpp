#include "data/ingest/demo/demo_data.h"

#include <gmock/gmock.h>

#include "data/corpus/files.h"
#include "data/corpus/inspect.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

TEST(DemoData, is_a_complete_input_of_the_sizes_asked_for) {
  const Scratch scratch;
  DemoOptions demo;
  demo.users = 300;
  demo.items = 100;
  make_demo_data(scratch.in(), demo);
  PrepareOptions options = scratch.options();
  options.train_tokenizer = 600;
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.vocabulary.num_users, 300);
  EXPECT_EQ(report.vocabulary.num_items, 100);
  EXPECT_TRUE(report.bad_rows.empty());
  const int64_t total = report.num_interactions[0] + report.num_interactions[1] + report.num_interactions[2];
  EXPECT_NEAR(static_cast<double>(total) / 300, 11.5, 2.0);
  EXPECT_GT(report.num_texts, 400);  // notes, too
  EXPECT_GT(report.held_out_texts, 0u);
}

TEST(DemoData, is_a_function_of_its_seed) {
  const Scratch scratch;
  DemoOptions demo;
  demo.users = 20;
  demo.items = 10;
  const auto written = [&](const char* name, uint64_t seed) {
    demo.seed = seed;
    make_demo_data(scratch.path() / name, demo);
    return read_small_file(scratch.path() / name / "users.tsv", 1 << 20) +
           read_small_file(scratch.path() / name / "interactions.tsv", 1 << 20);
  };
  const std::string first = written("a", 1);
  EXPECT_EQ(written("b", 1), first);
  EXPECT_NE(written("c", 2), first);
}

/// The signal that training must find: an applicant's text names the job's field far more often than chance (1 in 10).
TEST(DemoData, ties_texts_to_behaviour) {
  const Scratch scratch;
  make_demo_data(scratch.in(), {});
  const auto field_of = [&](const std::string& file) {
    std::map<std::string, std::string> fields;
    std::ifstream in(scratch.in() / file);
    for (std::string line; std::getline(in, line);) {
      const size_t at = line.find(" in ", line.find(file == "users.tsv" ? " years" : " position"));
      fields[line.substr(0, line.find('\t'))] =
          at == std::string::npos ? "" : line.substr(at + 4, line.find('.', at) - at - 4);
    }
    return fields;
  };
  auto users = field_of("users.tsv"), jobs = field_of("items.tsv");
  std::ifstream in(scratch.in() / "interactions.tsv");
  std::string user, job, order;
  std::getline(in, order);
  double same = 0, all = 0;
  while (in >> user >> job >> order) {
    ++all;
    same += users[user] == jobs[job] ? 1 : 0;
  }
  EXPECT_GT(same / all, 0.5);
  EXPECT_LT(same / all, 0.9);
}

TEST(DemoData, does_not_write_into_a_folder_with_files) {
  const Scratch scratch;
  scratch.write("mine.txt", "x");
  EXPECT_THAT(error_of([&] { make_demo_data(scratch.in(), {}); }),
              ::testing::EndsWith("in: exists already and is not empty"));
}

TEST(Inspect, shows_counts_lengths_options_and_decoded_samples) {
  const Scratch scratch;
  DemoOptions demo;
  demo.users = 50;
  demo.items = 30;
  make_demo_data(scratch.in(), demo);
  prepare(scratch.options());
  const std::string text = describe(Corpus::open(scratch.options().output));
  for (const char* part :
       {"users             50\n", "items             30\n", "density", "train per user    mean ",
        "tokens, biography mean ", "split             \"random\"", "(biography, user user-0000", "I am a"}) {
    EXPECT_THAT(text, ::testing::HasSubstr(part));
  }
}

}  // namespace
}  // namespace cllm::testing
