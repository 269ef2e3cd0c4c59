#include "data/ingest/extend.h"

#include <gmock/gmock.h>

#include <map>

#include "data/corpus/files.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {
namespace extend_tests {

using ::testing::HasSubstr;

std::map<std::string, std::string> bytes_in(const std::filesystem::path& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) files[entry.path().lexically_relative(dir)] = read_small_file(entry.path(), 1 << 24);
  }
  return files;
}

std::string pair_row(int user, int item, int time) {
  return "u" + std::to_string(user) + "\ti" + std::to_string(item) + "\t" + std::to_string(time) + "\n";
}

/// Twelve users with eight items each, in the order of their numbers; then days that bring four more items and users.
class Extend : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string rows = "user\titem\ttime\n", items;
    for (int user = 0; user < 12; ++user) {
      for (int k = 0; k < 8; ++k) rows += pair_row(user, (user + k) % 14, 10 * k + user);
    }
    for (int item = 0; item < 14; ++item) items += item_row(item);
    scratch.write("interactions.tsv", rows);
    scratch.write("items.tsv", items);
    prepared = scratch.options();
    prepared.shard_bytes = 600;
  }

  /// Old users again with old and new items, and new users; items 14 to 17 are new.
  void add_days(const std::string& more = "") {
    std::string rows = "user\titem\ttime\n", items;
    for (int user = 6; user < 16; ++user) {
      for (int k = 0; k < 4; ++k) rows += pair_row(user, 14 + k, 1000 + 10 * k + user);
    }
    rows += pair_row(0, 3, 2000) + more;  // an old pair again
    for (int item = 0; item < 18; ++item) items += item_row(item);
    std::filesystem::create_directories(scratch.path() / "days");
    std::ofstream(scratch.path() / "days" / "interactions.tsv") << rows;
    std::ofstream(scratch.path() / "days" / "items.tsv") << items;
  }

  static std::string item_row(int item) {
    return "i" + std::to_string(item) + "\tthe thing number " + std::to_string(item) + "\n";
  }
  PrepareOptions extending() {
    PrepareOptions options;
    options.extend = prepared.output;
    options.input = scratch.path() / "days";
    options.output = scratch.path() / "grown";
    options.memory_bytes = uint64_t{64} << 20;
    options.threads = 1;
    options.keep_filters = options.keep_split = true;
    return options;
  }

  const Scratch scratch;
  PrepareOptions prepared;
};

TEST_F(Extend, keeps_internal_ids_and_puts_new_ones_behind) {
  prepare(prepared);
  add_days();
  const PrepareReport report = prepare(extending());
  const Corpus old = Corpus::open(prepared.output), grown = Corpus::open(extending().output, true);
  EXPECT_EQ(grown.vocabulary().num_users, 16);
  EXPECT_EQ(grown.vocabulary().num_items, 18);
  for (int64_t user = 0; user < 12; ++user) EXPECT_EQ(grown.user_raw_id(user), old.user_raw_id(user));
  for (int64_t item = 0; item < 14; ++item) EXPECT_EQ(grown.item_raw_id(item), old.item_raw_id(item));
  EXPECT_EQ(grown.tokenizer_fingerprint(), old.tokenizer_fingerprint());
  ASSERT_EQ(grown.num_texts(), 18) << "texts that come again are not added";
  for (int64_t n = 0; n < old.num_texts(); ++n) EXPECT_EQ(grown.raw_text(n), old.raw_text(n));
  EXPECT_EQ(report.known_texts, 14u);
  EXPECT_EQ(report.known_interactions, 1u);
  EXPECT_EQ(all_pairs(grown).size(), 12u * 8 + 10 * 4);
  ASSERT_EQ(grown.ancestors().size(), 1u);
  EXPECT_EQ(grown.ancestors()[0].fingerprint, old.fingerprint());
  EXPECT_EQ(grown.ancestors()[0].texts, 14);
}

TEST_F(Extend, holds_nothing_out_that_was_trained_on) {
  for (const SplitMethod split : {SplitMethod::kRandom, SplitMethod::kLeaveLastOut, SplitMethod::kTime}) {
    prepared.split = split;
    prepared.overwrite = true;
    prepare(prepared);
    add_days(pair_row(1, 13, 5));  // of the past: it moves the cut of a split by time back
    PrepareOptions options = extending();
    options.overwrite = true;
    prepare(options);
    const Corpus old = Corpus::open(prepared.output), grown = Corpus::open(options.output, true);
    const auto trained = pairs_of(old, Part::kTrain), training = pairs_of(grown, Part::kTrain);
    EXPECT_TRUE(std::ranges::includes(training, trained));
    EXPECT_GT(grown.num_interactions(Part::kTest), 0);
    int64_t added = 0;
    for (int64_t user = 0; user < grown.vocabulary().num_users; ++user) added += grown.num_new(user);
    EXPECT_EQ(added, std::ssize(training) - std::ssize(trained));
    for (int64_t user = 0; user < 16; ++user) EXPECT_TRUE(std::ranges::is_sorted(grown.times(user, Part::kTrain)));
  }
}

TEST_F(Extend, splits_again_by_the_rule_of_the_corpus_over_old_and_new) {
  prepared.split = SplitMethod::kLeaveLastOut;
  prepare(prepared);
  add_days();
  prepare(extending());
  const auto test = pairs_of(Corpus::open(extending().output), Part::kTest);
  EXPECT_TRUE(test.contains("u9 i17")) << "the last in time";
  EXPECT_TRUE(test.contains("u2 i9")) << "of a user without news, as before";
}

TEST_F(Extend, gives_the_same_bytes_for_the_same_input_and_extends_again) {
  prepare(prepared);
  add_days();
  PrepareOptions options = extending();
  prepare(options);
  const auto first = bytes_in(options.output);
  options.output = scratch.path() / "again";
  options.memory_bytes *= 2;
  options.threads = 2;
  prepare(options);
  EXPECT_EQ(bytes_in(options.output), first);
  options.extend = options.output;
  options.output = scratch.path() / "third";
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.known_interactions, 41u) << "the same days again bring nothing";
  const Corpus third = Corpus::open(options.output, true);
  EXPECT_EQ(third.ancestors().size(), 2u);
  for (int64_t user = 0; user < 16; ++user) EXPECT_EQ(third.num_new(user), 0);
}

TEST_F(Extend, filters_only_what_is_new) {
  prepare(prepared);
  add_days(pair_row(40, 2, 3000));
  PrepareOptions options = extending();
  options.keep_filters = false;
  options.k_core = 9;  // more than any old user has
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.filtered_users, 5u) << "u12 to u15 with four items each, and u40";
  EXPECT_EQ(Corpus::open(options.output).vocabulary().num_users, 12);
}

TEST_F(Extend, refuses_a_corpus_of_version_1) {
  add_days();
  PrepareOptions options = extending();
  options.extend = std::filesystem::path(CLLM_SOURCE_DIR) / "tests/data/corpus/golden/version-1";
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("is of format version 1, which keeps no order and no raw"));
}

TEST_F(Extend, refuses_another_tokenizer_and_a_split_file_that_is_not_named) {
  prepare(prepared);
  add_days();
  PrepareOptions options = extending();
  options.train_tokenizer = 300;
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("leave --train-tokenizer out"));
  options = extending();
  PrepareOptions other = prepared;
  other.output = scratch.path() / "other";
  other.train_tokenizer = 260;
  prepare(other);
  options.tokenizer = other.output / "tokenizer";
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("is not the tokenizer of"));
  options.tokenizer = prepared.output / "tokenizer";
  prepare(options);  // its own

  std::string parts = "user\titem\tpart\n";
  for (int user = 0; user < 12; ++user) {
    for (int k = 0; k < 8; ++k)
      parts += "u" + std::to_string(user) + "\ti" + std::to_string((user + k) % 14) + "\ttrain\n";
  }
  other.split = SplitMethod::kFile;
  other.split_file = scratch.path() / "parts.tsv";
  std::ofstream(other.split_file) << parts;
  other.overwrite = true;
  prepare(other);
  options = extending();
  options.extend = other.output;
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("name one that has the new interactions"));
}

}  // namespace extend_tests
}  // namespace
}  // namespace cllm::testing
