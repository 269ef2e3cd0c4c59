#include "data/ingest/prepare.h"

#include <gmock/gmock.h>

#include "data/corpus/files.h"
#include "data/random.h"
#include "tests/data/ingest/grid.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::map<std::string, std::string> files_in(const std::filesystem::path& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) files[entry.path().lexically_relative(dir)] = read_small_file(entry.path(), 1 << 24);
  }
  return files;
}

TEST(Prepare, gives_the_same_bytes_for_the_same_input_whatever_memory_threads_and_folder) {
  const Scratch scratch;
  write_grid(scratch, 40, 60);
  PrepareOptions options = scratch.options();
  options.shard_bytes = 2000;  // many shards
  prepare(options);
  options.output = scratch.path() / "elsewhere" / "again";
  options.memory_bytes *= 2;
  options.threads = 3;
  prepare(options);
  const auto first = files_in(scratch.path() / "out"), second = files_in(options.output);
  EXPECT_GT(first.size(), 15u);
  EXPECT_EQ(first, second);
  options.seed = 1;
  options.overwrite = true;
  prepare(options);
  EXPECT_NE(files_in(options.output).at("users-000000.h5"), first.at("users-000000.h5"));
}

TEST(Prepare, permutes_internal_ids_and_stores_the_permutation) {
  const Scratch scratch;
  write_grid(scratch, 40, 60);
  prepare(scratch.options());
  const Corpus corpus = Corpus::open(scratch.options().output);
  std::set<int64_t> seen;
  int fixed = 0;
  for (int64_t user = 0; user < 40; ++user) {
    const int64_t order = corpus.user_input_order(user);
    seen.insert(order);
    fixed += order == user ? 1 : 0;
    EXPECT_EQ(corpus.user_raw_id(user), "u" + std::to_string(order));  // users.tsv lists them in this order
  }
  EXPECT_EQ(seen.size(), 40u);
  EXPECT_LT(fixed, 10);
}

TEST(Prepare, never_keeps_the_text_of_a_held_out_pair) {
  for (const SplitMethod split : {SplitMethod::kRandom, SplitMethod::kLeaveLastOut}) {
    const Scratch scratch;
    write_grid(scratch, 30, 30);
    PrepareOptions options = scratch.options();
    options.split = split;
    const PrepareReport report = prepare(options);
    const Corpus corpus = Corpus::open(options.output, true);
    std::set<std::string> with_text;
    for (int64_t n = 0; n < corpus.num_texts(); ++n) {
      const TextSample text = corpus.text(n);
      if (text.item >= 0)
        with_text.insert(std::string(corpus.user_raw_id(text.user)) + " " + std::string(corpus.item_raw_id(text.item)));
    }
    EXPECT_EQ(with_text, pairs_of(corpus, Part::kTrain));
    EXPECT_EQ(report.held_out_texts, pairs_of(corpus, Part::kValidation).size() + pairs_of(corpus, Part::kTest).size());
  }
}

TEST(Prepare, holds_out_the_last_items_in_time) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\nc\t\nd\t\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\tb\t4\nu\ta\t9\nu\tc\t2\nu\td\t3\nv\ta\t1\nv\tb\t2\n");
  PrepareOptions options = scratch.options();
  options.split = SplitMethod::kLeaveLastOut;
  prepare(options);
  const Corpus corpus = Corpus::open(options.output);
  EXPECT_THAT(pairs_of(corpus, Part::kTest), ElementsAre("u a"));
  EXPECT_THAT(pairs_of(corpus, Part::kValidation), ElementsAre("u b"));
  EXPECT_THAT(pairs_of(corpus, Part::kTrain), ElementsAre("u c", "u d", "v a", "v b"));
}

TEST(Prepare, follows_a_split_file) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\nc\t\n");
  scratch.write("interactions.tsv", "u\ta\nu\tb\nu\tc\nv\ta\n");
  PrepareOptions options = scratch.options();
  options.split = SplitMethod::kFile;
  options.split_file =
      scratch.write("split.tsv", "user\titem\tpart\nv\ta\ttest\nu\tc\tval\nu\ta\ttrain\nu\tb\tvalidation\n");
  prepare(options);
  const Corpus corpus = Corpus::open(options.output);
  EXPECT_THAT(pairs_of(corpus, Part::kTrain), ElementsAre("u a"));
  EXPECT_THAT(pairs_of(corpus, Part::kValidation), ElementsAre("u b", "u c"));
  EXPECT_THAT(pairs_of(corpus, Part::kTest), ElementsAre("v a"));
}

TEST(Prepare, counts_and_refuses_pairs_that_the_split_file_and_the_interactions_do_not_share) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\n");
  scratch.write("interactions.tsv", "u\ta\nu\tb\n");
  PrepareOptions options = scratch.options();
  options.split = SplitMethod::kFile;
  options.split_file = scratch.write("split.tsv", "user\titem\tpart\nu\ta\ttrain\nu\tz\ttest\nv\ta\tval\nu\ta\ttest\n");
  const std::string error = error_of([&] { prepare(options); });
  EXPECT_THAT(error, HasSubstr("1 x duplicate (split.tsv:5: user 'u' and item 'a' again, first at split.tsv:2)"));
  EXPECT_THAT(error, HasSubstr("1 x not in the split file (interactions.tsv:2: user 'u' and item 'b')"));
  EXPECT_THAT(
      error,
      HasSubstr("2 x in the split file only (split.tsv:3: no interaction of user 'u' and item 'z'; split.tsv:4: "));
  options.split_file = scratch.write("wrong.tsv", "user\titem\tpart\nu\ta\teval\n");
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("wrong.tsv:2: part 'eval' of the split; expected train, val or test"));
}

TEST(Prepare, iterates_the_k_core_until_it_is_stable) {
  const Scratch scratch;
  // A 2-core of {u, v} x {a, b}; w-c, w-d hang on it as a chain that only repeated passes remove: d has one, then w,
  // then c.
  scratch.write("items.tsv", "a\tone item\nb\t\nc\t\nd\t\n");
  scratch.write("interactions.tsv", "u\ta\nu\tb\nv\ta\nv\tb\nv\tc\nw\tc\nw\td\n");
  PrepareOptions options = scratch.options();
  options.k_core = 2;
  const PrepareReport report = prepare(options);
  EXPECT_THAT(all_pairs(Corpus::open(options.output)), ElementsAre("u a", "u b", "v a", "v b"));
  EXPECT_EQ(report.filtered_interactions, 3u);
  EXPECT_EQ(report.filtered_users, 1u);
  EXPECT_EQ(report.filtered_items, 2u);
}

TEST(Prepare, removes_users_below_the_minimum_history) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\n");
  scratch.write("interactions.tsv", "u\ta\nu\tb\nv\ta\n");
  PrepareOptions options = scratch.options();
  options.min_history = 2;
  prepare(options);
  EXPECT_THAT(all_pairs(Corpus::open(options.output)), ElementsAre("u a", "u b"));
  options.overwrite = true;
  options.min_history = 3;
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("no interaction is left: 5 rows read, 0 below the rating threshold, "));
}

TEST(Prepare, keeps_listed_users_and_items_without_interactions) {
  const Scratch scratch;
  scratch.write("users.tsv", "u\tshort text\nv\tanother text\n");
  scratch.write("items.tsv", "a\tone item\nb\tan unsold item\n");
  scratch.write("interactions.tsv", "u\ta\n");
  const PrepareReport report = prepare(scratch.options());
  EXPECT_EQ(report.vocabulary.num_users, 2);
  EXPECT_EQ(report.vocabulary.num_items, 2);
  EXPECT_EQ(report.num_texts, 4);
}

TEST(Prepare, reports_every_kind_of_bad_row_with_its_place) {
  const Scratch scratch;
  scratch.write("users.tsv", "u\ta text\nv\t\nu\tagain u\n\tno id\n");
  scratch.write("items.tsv", "a\tone item\nb\t\xC3\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t1\nu\ta\t2\nx\ta\t1\nu\tb\t1\nv\ta\tsoon\nv\ta\n");
  scratch.write("texts.tsv", "u\tq\ttext of an unknown item\n");
  PrepareOptions options = scratch.options();
  options.error_limit = 1;
  const PrepareReport report = prepare(options);
  std::map<std::string, std::vector<std::string>> bad;
  for (const auto& kind : report.bad_rows) bad[kind.problem] = kind.examples;
  EXPECT_THAT(bad["duplicate"],
              ElementsAre("users.tsv:3: id 'u' is listed again",
                          "interactions.tsv:3: user 'u' and item 'a' again, first at interactions.tsv:2"));
  EXPECT_THAT(bad["empty or overlong id"], ElementsAre("users.tsv:4: ''"));
  EXPECT_THAT(bad["not UTF-8"], ElementsAre("items.tsv:2: 'b\\x09\\xC3'"));
  EXPECT_THAT(bad["unknown id"], ElementsAre("interactions.tsv:4: user 'x' is not in the users file",
                                             "interactions.tsv:5: item 'b' is not in the items file",
                                             "texts.tsv:1: text of 'q', which is not listed"));
  EXPECT_THAT(bad["bad number"], ElementsAre(HasSubstr("interactions.tsv:6: time 'soon' is no number or date")));
  EXPECT_THAT(bad["wrong column count"], ElementsAre("interactions.tsv:7: 2 columns instead of 3"));
  options.overwrite = true;
  options.error_limit = 0.01;
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("of 12 input rows are bad, more than the error limit of 1.000 %"));
}

TEST(Prepare, merges_repeated_events_if_told_so) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t2\nu\ta\t1\nu\ta\t3\n");
  PrepareOptions options = scratch.options();
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("2 x duplicate (interactions.tsv:2: user 'u' and item 'a' again, first at interactions.tsv:3"));
  options.merge_duplicates = true;
  EXPECT_EQ(prepare(options).duplicates_merged, 2u);
}

TEST(Prepare, needs_ratings_if_there_is_a_threshold) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nu\ta\t2\n");
  PrepareOptions options = scratch.options();
  options.rating_threshold = 3;
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("interactions.tsv:2: no rating, but a rating threshold is set"));
}

TEST(Prepare, cuts_long_texts) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\t" + std::string(1000, 'z') + " end\n");
  scratch.write("interactions.tsv", "u\ta\n");
  PrepareOptions options = scratch.options();
  options.max_text_tokens = 100;
  EXPECT_EQ(prepare(options).cut_texts, 1u);
  EXPECT_EQ(Corpus::open(options.output).text_length(0), 100);
}

TEST(Prepare, checks_its_options_before_it_reads) {
  const Scratch scratch;
  const auto error_with = [&](auto change) {
    PrepareOptions options = scratch.options();
    change(options);
    return error_of([&] { prepare(options); });
  };
  EXPECT_THAT(error_with([](auto& o) { o.train_tokenizer = 0; }),
              HasSubstr("either a folder with tokenizer files or the size"));
  EXPECT_THAT(error_with([](auto& o) { o.train_tokenizer = 10; }), HasSubstr("a size of at least 257"));
  EXPECT_THAT(error_with([](auto& o) { o.memory_bytes = 1000; }), HasSubstr("at least 64 MiB"));
  EXPECT_THAT(error_with([](auto& o) { o.shard_bytes = o.memory_bytes; }),
              HasSubstr("at most an eighth of the memory limit of 64 MiB"));
  EXPECT_THAT(error_with([](auto& o) { o.error_limit = 2; }), HasSubstr("a share of the rows, 0 .. 1"));
  EXPECT_THAT(error_with([](auto& o) { o.k_core = -1; }), HasSubstr("must not be negative"));
  EXPECT_THAT(error_with([](auto& o) { o.split_file = "x"; }), HasSubstr("a split file belongs to the split 'file'"));
  EXPECT_THAT(error_with([](auto& o) { o.output = ""; }), HasSubstr("no output folder"));
}

TEST(Prepare, needs_more_memory_for_more_ids_and_says_how_much) {
  const Scratch scratch;
  std::string interactions;
  for (int n = 0; n < 600000; ++n) interactions += "user-with-a-long-id-" + std::to_string(n) + "\ta\n";
  scratch.write("interactions.tsv", interactions);
  EXPECT_THAT(error_of([&] { prepare(scratch.options()); }),
              HasSubstr("items need more than a third of the memory limit; allow at least "));
}

}  // namespace
}  // namespace cllm::testing
