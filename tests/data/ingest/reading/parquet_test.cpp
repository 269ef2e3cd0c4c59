// Parquet as pandas, Spark, Hive and the Hub write it (tests/data/layouts/make_parquet), and what a build without Arrow
// says.

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/columnar_rows.h"
#include "data/text/tokenizer.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What the script writes, once; empty: no Python with pyarrow, so that only refusals can be seen.
const fs::path& written_parquet() {
  struct Folder {
    fs::path path = fs::temp_directory_path() / ("cllm_parquet_" + std::to_string(::getpid()));
    Folder() {
      fs::remove_all(path);
      fs::create_directories(path / "tokenizer");
      const std::string python = CLLM_PARQUET_PYTHON, script = CLLM_SOURCE_DIR "/tests/data/layouts/make_parquet";
      if (python.empty() || std::system((python + " " + script + " " + path.string()).c_str()) != 0) path.clear();
      if (!path.empty())
        Tokenizer::train([]() -> std::optional<std::string_view> { return {}; }, 257).save(path / "tokenizer");
    }
    ~Folder() {
      std::error_code ignored;
      if (!path.empty()) fs::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

bool can_read() {
  try {
    open_parquet("nowhere.parquet");
  } catch (const DataError& error) {
    return std::string(error.what()).find("this build has no Arrow") == std::string::npos;
  }
  return true;
}

class Parquet : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!can_read()) GTEST_SKIP() << "a build without Arrow";
    if (written_parquet().empty()) GTEST_SKIP() << "no pyarrow to write files with";
  }
  PrepareReport prepare_folder(const std::string& name) const {
    PrepareOptions options = scratch_.options();
    options.input = written_parquet() / name;
    options.split = SplitMethod::kLeaveLastOut;
    options.train_tokenizer = 0;
    options.tokenizer = written_parquet() / "tokenizer";
    options.overwrite = true;
    const PrepareReport report = prepare(options);
    for (const auto& bad : report.bad_rows) ADD_FAILURE() << name << " " << bad.problem << ": " << bad.examples[0];
    return report;
  }
  Corpus corpus() const { return Corpus::open(scratch_.options().output, true); }
  std::string refusal(const std::string& name) const {
    return error_of([&] { prepare_folder(name); });
  }

  Scratch scratch_;
};

std::set<std::string> last_pairs() {
  std::set<std::string> pairs;
  for (int user = 0; user < 6; ++user) pairs.insert("u" + std::to_string(user) + " i" + std::to_string((user + 4) % 7));
  return pairs;
}

TEST_F(Parquet, of_every_codec_and_every_layout_of_parts_gives_the_same_interactions) {
  for (const char* name : {"snappy", "zstd", "gzip", "lz4", "brotli", "none", "types", "spark", "hive", "parts"}) {
    const PrepareReport report = prepare_folder(name);
    EXPECT_EQ(all_pairs(corpus()).size(), 30u) << name;
    EXPECT_EQ(pairs_of(corpus(), Part::kTest), last_pairs()) << name;
    EXPECT_TRUE(corpus().has_times()) << name;
  }
}

TEST_F(Parquet, of_every_encoding_gives_the_corpus_of_the_same_rows_as_tsv) {
  const auto shards_and_bad_rows = [&](const std::string& name) {
    PrepareOptions options = scratch_.options();
    options.input = written_parquet() / "many" / name;
    options.tokenizer = written_parquet() / "tokenizer";
    options.train_tokenizer = 0;
    options.overwrite = true;
    options.merge_duplicates = true;
    std::string out;
    for (const auto& bad : prepare(options).bad_rows) {
      out += bad.problem + " " + std::to_string(bad.count) + ": ";
      for (const std::string& example : bad.examples) out += example.substr(example.find(':')) + "; ";
    }
    std::ifstream manifest(options.output / "corpus.json");
    return nlohmann::json::parse(manifest)["shards"].dump() + out;
  };
  const std::string strings = shards_and_bad_rows("tsv"), numbers = shards_and_bad_rows("numbers_tsv");
  EXPECT_THAT(strings, HasSubstr("the header again"));
  for (const char* name : {"lists", "grown", "strings", "deltas", "categories", "large"})
    EXPECT_EQ(shards_and_bad_rows(name), strings) << name;
  for (const char* name : {"int64", "int32", "double"}) EXPECT_EQ(shards_and_bad_rows(name), numbers) << name;
}

TEST_F(Parquet, that_is_no_utf8_has_a_bad_row) {
  for (const char* name : {"bytes", "plain_bytes"}) {
    PrepareOptions options = scratch_.options();
    options.input = written_parquet() / name;
    options.tokenizer = written_parquet() / "tokenizer";
    options.train_tokenizer = 0;
    options.overwrite = true;
    const PrepareReport report = prepare(options);
    ASSERT_EQ(report.bad_rows.size(), 1u) << name;
    EXPECT_THAT(report.bad_rows[0].examples, ElementsAre("interactions.parquet:9: 'i\\xFF'")) << name;
  }
}

TEST_F(Parquet, of_pandas_has_ids_that_became_doubles_missing_values_and_an_index) {
  const PrepareReport report = prepare_folder("pandas");
  EXPECT_THAT(pairs_of(corpus(), Part::kTest), Contains("102 6"));
  EXPECT_EQ(corpus().times(0, Part::kTest)[0], 1300000000 + 4 * 86400);
  EXPECT_THAT(report.notices, Contains(HasSubstr("not used: __index_level_0__")));
}

TEST_F(Parquet, of_texts_has_kinds_by_the_names_of_its_columns_and_lists_joined) {
  prepare_folder("spark");
  const auto texts = texts_of(corpus());
  EXPECT_EQ(texts.size(), 14u);
  EXPECT_EQ(texts.count("tags - i3 " + std::to_string(std::string("a, b3").size())), 1u);
}

TEST_F(Parquet, of_types_that_are_not_read_is_refused_where_they_are_wanted) {
  const std::map<std::string, std::string> expected = {
      {"clock",
       "column 'timestamp' has type time64[us], which is not read; cast it to a string, a number or a timestamp"},
      {"span", "column 'timestamp' has type duration[s], which is not read"},
      {"pairs", "column 'item_id' has type struct<x: string>, which is not read"},
      {"halves", "column 'rating' has type halffloat, which is not read; cast it to float"},
      {"list_of_items", "one value is expected; write a row per element, with pandas: t.explode('item_id')"},
      {"lists_beside", "write a row per element, with pandas: t.explode(['item_id', 'timestamp'])"}};
  for (const auto& [name, line] : expected) EXPECT_THAT(refusal("unread/" + name), HasSubstr(line)) << name;
  EXPECT_THAT(prepare_folder("rare").notices, Contains(HasSubstr("not used: clock, pairs")));
  EXPECT_EQ(pairs_of(corpus(), Part::kTest), last_pairs());
  EXPECT_TRUE(corpus().has_ratings());
}

TEST_F(Parquet, that_cannot_be_understood_is_refused_with_a_reason) {
  EXPECT_THAT(refusal("names"), HasSubstr("without a column 'user' (it has visitor, sku)"));
  EXPECT_THAT(refusal("numbers"), HasSubstr("(it has 0, 1)"));
  EXPECT_THAT(refusal("other"), HasSubstr("part-1.parquet: other columns than in part-0.parquet"));
  EXPECT_THAT(refusal("keys"), HasSubstr("part-0.parquet: other columns than in part-0.parquet"));
  EXPECT_THAT(refusal("cut"), HasSubstr("interactions.parquet: cannot read: "));
  EXPECT_THAT(refusal("damaged"), HasSubstr("interactions.parquet: cannot read: "));
}

TEST_F(Parquet, columns_of_other_names_are_chosen_by_columns) {
  PrepareOptions options = scratch_.options();
  options.input = written_parquet() / "numbers" / "interactions.parquet";
  options.tokenizer = written_parquet() / "tokenizer";
  options.train_tokenizer = 0;
  options.source.columns = {{"user", "0"}, {"item", "1"}};
  EXPECT_EQ(prepare(options).num_interactions[0], 18);
}

TEST(ParquetWithoutArrow, is_refused_with_what_to_do) {
  if (can_read()) GTEST_SKIP() << "a build with Arrow";
  const Scratch scratch;
  scratch.write("interactions.parquet", "PAR1");
  EXPECT_THAT(error_of([&] { prepare(scratch.options()); }),
              HasSubstr("interactions.parquet: this build has no Arrow, which reads Parquet: `launch/setup"));
}

TEST(ParquetFolder, is_told_from_a_folder_of_tables_by_its_names) {
  const Scratch scratch;
  const auto holds = [&](std::initializer_list<const char*> names) {
    fs::remove_all(scratch.in());
    for (const char* name : names) {
      fs::create_directories((scratch.in() / name).parent_path());
      scratch.write(name, "x");
    }
    return is_parquet_folder(scratch.in());
  };
  EXPECT_TRUE(holds({"part-00000-ab.snappy.parquet", "part-00001-cd.snappy.parquet", "_SUCCESS", ".x.crc"}));
  EXPECT_TRUE(holds({"train-00000-of-00002.parquet", "train-00001-of-00002.parquet"}));
  EXPECT_TRUE(holds({"day=1/a.parquet", "day=2/a.parquet"}));
  EXPECT_FALSE(holds({"interactions.parquet", "items.parquet"}));
  EXPECT_FALSE(holds({"interactions.parquet"}));
  EXPECT_FALSE(holds({"train-0.parquet", "test-0.parquet"}));
  EXPECT_FALSE(holds({"part-0.parquet", "readme.md"}));
  EXPECT_FALSE(holds({}));
}

}  // namespace
}  // namespace cllm::testing
