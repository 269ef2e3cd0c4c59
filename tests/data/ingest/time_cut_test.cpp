#include "data/ingest/time_cut.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PrepareOptions split_by_time(const Scratch& scratch, std::array<double, kNumParts> shares) {
  PrepareOptions options = scratch.options();
  options.split = SplitMethod::kTime;
  options.time_shares = shares;
  return options;
}

TEST(TimeCut, gives_every_part_its_share_of_the_interactions_of_all_users_in_time) {
  const Scratch scratch;
  std::string rows = "user\titem\ttime\n";
  for (int n = 0; n < 10; ++n)
    rows += "u" + std::to_string(n % 3) + "\ti" + std::to_string(n) + "\t" + std::to_string(100 - n) + "\n";
  scratch.write("interactions.tsv", rows);
  scratch.write("texts.tsv", "u0\ti9\ta review\n");
  const PrepareReport report = prepare(split_by_time(scratch, {0.8, 0.1, 0.1}));
  const Corpus corpus = Corpus::open(scratch.options().output, true);
  EXPECT_THAT(pairs_of(corpus, Part::kTest), ElementsAre("u0 i0"));
  EXPECT_THAT(pairs_of(corpus, Part::kValidation), ElementsAre("u1 i1"));
  EXPECT_EQ(corpus.num_interactions(Part::kTrain), 8);
  ASSERT_TRUE(report.time_split);
  EXPECT_EQ(report.time_split->validation_from, 99);
  EXPECT_EQ(report.time_split->test_from, 100);
}

TEST(TimeCut, keeps_equal_times_together_in_the_later_part) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\nc\t\nd\t\ne\t\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t1\nu\tb\t2\nu\tc\t2\nv\td\t2\nv\te\t3\n");
  prepare(split_by_time(scratch, {0.6, 0.2, 0.2}));  // the cut at the fourth falls into the three of time 2
  const Corpus corpus = Corpus::open(scratch.options().output);
  EXPECT_THAT(pairs_of(corpus, Part::kTrain), ElementsAre("u a"));
  EXPECT_THAT(pairs_of(corpus, Part::kValidation), ElementsAre("u b", "u c", "v d"));
  EXPECT_THAT(pairs_of(corpus, Part::kTest), ElementsAre("v e"));
}

TEST(TimeCut, counts_and_reports_users_and_items_that_only_appear_later) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\nc\t\nd\tnever bought\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t1\nu\tb\t2\nv\ta\t3\nw\tc\t4\nv\tc\t5\n");
  const PrepareReport report = prepare(split_by_time(scratch, {0.4, 0.2, 0.4}));
  ASSERT_TRUE(report.time_split);
  EXPECT_EQ(report.time_split->late_users, 2u);  // v and w
  EXPECT_EQ(report.time_split->late_items, 1u);  // c; d never appears
  EXPECT_THAT(describe(report), HasSubstr("split by time: validation from 3, test from 4\n"
                                          "  users without training interactions: 2\n"
                                          "  items without training interactions: 1\n"));
  const auto manifest = nlohmann::json::parse(Corpus::open(scratch.options().output).manifest());
  EXPECT_EQ(manifest["report"]["time_split"],
            nlohmann::json::parse(R"({"validation_from": 3, "test_from": 4, "late_users": 2, "late_items": 1})"));
  EXPECT_EQ(manifest["options"]["split"], "time");
  EXPECT_EQ(manifest["options"]["split_shares"], nlohmann::json::parse("[0.4, 0.2, 0.4]"));
}

TEST(TimeCut, counts_only_what_the_filters_left) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\nc\t\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nw\tc\t1\nx\tc\t2\nu\ta\t11\nu\tb\t12\nv\ta\t13\nv\tb\t14\n");
  PrepareOptions options = split_by_time(scratch, {0.5, 0.25, 0.25});
  options.min_history = 2;
  prepare(options);
  EXPECT_THAT(pairs_of(Corpus::open(options.output), Part::kTrain), ElementsAre("u a", "u b"));
}

TEST(TimeCut, may_leave_a_part_empty) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t1\nu\tb\t2\n");
  PrepareOptions options = split_by_time(scratch, {0.5, 0, 0.5});
  prepare(options);
  EXPECT_THAT(pairs_of(Corpus::open(options.output), Part::kValidation), IsEmpty());
  EXPECT_THAT(pairs_of(Corpus::open(options.output), Part::kTest), ElementsAre("u b"));
  options.overwrite = true;
  options.time_shares = {0.5, 0.5, 0};
  prepare(options);
  EXPECT_THAT(pairs_of(Corpus::open(options.output), Part::kValidation), ElementsAre("u b"));
}

TEST(TimeCut, refuses_input_without_times_equal_times_and_shares_that_are_none) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t1\nu\tb\t\n");
  EXPECT_THAT(error_of([&] {
                prepare(split_by_time(scratch, {0.8, 0.1, 0.1}));
              }),
              HasSubstr("the split by time needs the time of every interaction, but 1 of 2 have none; add a column"));
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t5\nu\tb\t5\n");
  EXPECT_THAT(error_of([&] {
                prepare(split_by_time(scratch, {0.5, 0.25, 0.25}));
              }),
              HasSubstr("leaves nothing for training: no interaction is earlier than the first cut, at 5"));
  for (const std::array<double, kNumParts>& shares : {std::array{0.8, 0.1, 0.2}, {0.0, 0.5, 0.5}, {1.2, -0.1, -0.1}})
    EXPECT_THAT(error_of([&] { prepare(split_by_time(scratch, shares)); }), HasSubstr("the shares of a split by time"));
}

}  // namespace
}  // namespace cllm::testing
