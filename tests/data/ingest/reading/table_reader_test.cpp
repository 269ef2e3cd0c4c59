#include "data/ingest/reading/table_reader.h"

#include <gmock/gmock.h>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using Rows = std::vector<std::vector<std::string>>;

const std::vector<Column> kColumns = {{{"user", "user_id"}}, {{"item"}}, {{"time"}, false}};

Rows read_all(const std::filesystem::path& file, ProblemLog& log) {
  Intake intake{log, {}};
  TableReader reader(file, kColumns, intake);
  Rows rows;
  while (reader.next())
    rows.push_back({std::string(reader.field(0)), std::string(reader.field(1)), std::string(reader.field(2))});
  return rows;
}

TEST(TableReader, reads_tsv_without_header_by_position) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.tsv", "u\ti\t3\nv\tj\t4\n"), log), (Rows{{"u", "i", "3"}, {"v", "j", "4"}}));
  EXPECT_EQ(read_all(scratch.write("b.tsv", "u\ti\nv\tj"), log), (Rows{{"u", "i", ""}, {"v", "j", ""}}));
  EXPECT_EQ(log.bad_rows(), 0u);
  EXPECT_EQ(log.rows(), 4u);
}

TEST(TableReader, follows_a_header_in_any_order_with_foreign_columns) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.tsv", "item\tcolour\tuser_id\ni\tred\tu\n"), log), (Rows{{"u", "i", ""}}));
  EXPECT_EQ(log.rows(), 1u);
}

TEST(TableReader, skips_byte_order_mark_blank_lines_and_carriage_returns) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.csv", "\xEF\xBB\xBFuser,item,time\r\n\r\nu,i,3\r\n\n"), log),
            (Rows{{"u", "i", "3"}}));
  EXPECT_EQ(log.bad_rows(), 0u);
}

TEST(TableReader, reads_quoted_csv_fields_with_commas_quotes_and_line_ends) {
  const Scratch scratch;
  ProblemLog log;
  const auto rows = read_all(scratch.write("a.csv", "\"u,1\",\"say \"\"hi\"\"\",\"line 1\nline 2\"\nv,\"\",3\n"), log);
  EXPECT_EQ(rows, (Rows{{"u,1", "say \"hi\"", "line 1\nline 2"}, {"v", "", "3"}}));
}

TEST(TableReader, names_the_line_of_a_quote_that_is_never_closed) {
  const Scratch scratch;
  ProblemLog log;
  const auto file = scratch.write("a.csv", "u,i,1\nv,\"j,2\nw,k,3\n");
  EXPECT_THAT(error_of([&] { read_all(file, log); }), ::testing::EndsWith("a.csv:2: a quote is never closed"));
}

TEST(TableReader, reads_gzip_and_refuses_a_truncated_one) {
  const Scratch scratch;
  ProblemLog log;
  std::string text;
  for (int n = 0; n < 20000; ++n) text += "u" + std::to_string(n * 7919 % 10007) + "\ti" + std::to_string(n) + "\t1\n";
  const auto file = scratch.write("a.tsv.gz", text);
  EXPECT_EQ(read_all(file, log).size(), 20000u);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  EXPECT_THAT(error_of([&] { read_all(file, log); }), ::testing::HasSubstr("the file is truncated"));
}

TEST(TableReader, reads_json_lines_with_numbers_arrays_and_aliases) {
  const Scratch scratch;
  ProblemLog log;
  const auto rows = read_all(scratch.write("a.jsonl", R"({"user_id": 17, "item": "i", "time": 5}
{"user": "u", "item": [["a", "b"], [], ["c"]], "time": null, "more": {"x": 1}}
)"),
                             log);
  EXPECT_EQ(rows, (Rows{{"17", "i", "5"}, {"u", "a, b, c", ""}}));
}

TEST(TableReader, counts_and_locates_bad_rows) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.tsv", "u\ti\t1\nu\ti\nu\t\xFF\t1\nv\tj\t2\n"), log).size(), 2u);
  EXPECT_EQ(read_all(scratch.write("b.jsonl", "[1]\n{\"user\": 1}\n{broken\n"), log).size(), 0u);
  EXPECT_EQ(log.rows(), 7u);
  EXPECT_THAT(log.tally(Problem::kColumns).examples,
              ::testing::ElementsAre("a.tsv:2: 2 columns instead of 3", "b.jsonl:2: no 'item' in the object"));
  EXPECT_THAT(log.tally(Problem::kUtf8).examples, ::testing::ElementsAre("a.tsv:3: 'u\\x09\\xFF\\x091'"));
  EXPECT_THAT(log.tally(Problem::kJson).examples, ::testing::ElementsAre("b.jsonl:1: '[1]'", "b.jsonl:3: '{broken'"));
}

TEST(TableReader, counts_the_problems_of_a_file_once_however_often_it_is_read) {
  const Scratch scratch;
  ProblemLog log;
  const auto file = scratch.write("a.tsv", "u\ti\t1\nu\ti\n");
  read_all(file, log);
  read_all(file, log);
  EXPECT_EQ(log.rows(), 2u);
  EXPECT_EQ(log.bad_rows(), 1u);
}

TEST(TableReader, refuses_files_that_it_cannot_understand) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_THAT(error_of([&] { read_all(scratch.write("a.tsv", "only\n"), log); }),
              ::testing::HasSubstr("1 columns and no header that names 'user'"));
  EXPECT_THAT(error_of([&] { read_all(scratch.write("b.tsv", "a\tb\tc\td\n"), log); }),
              ::testing::HasSubstr("4 columns and no header"));
  EXPECT_THAT(error_of([&] { read_all(scratch.write("c.parquet", "PAR1"), log); }),
              ::testing::HasSubstr("unknown kind of file"));
  EXPECT_THAT(error_of([&] { read_all(scratch.in() / "none.tsv", log); }),
              ::testing::HasSubstr("cannot open: No such file"));
}

TEST(TableReader, survives_hostile_nesting) {
  const Scratch scratch;
  ProblemLog log;
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_EQ(
      read_all(scratch.write("a.jsonl", "{\"user\": \"u\", \"item\": \"i\", \"time\": " + deep + "}\n"), log).size(),
      1u);
}

TEST(ProblemLog, refuses_above_the_limit_with_one_line_that_tells_all) {
  ProblemLog log;
  const uint64_t file = log.open("/data/interactions.tsv");
  for (int n = 0; n < 1000; ++n) log.count_row();
  const auto at = [&](uint64_t line) {
    Origin origin;
    origin.line = line & 0xFFFFFFFFFFFF;
    origin.file = file & 0xFFFF;
    return origin;
  };
  for (uint64_t line = 1; line <= 10; ++line) log.add(Problem::kDuplicate, at(line), "twice");
  EXPECT_NO_THROW(log.check(0.01));
  log.add(Problem::kNumber, at(77), "time 'x' is no number or date");
  EXPECT_EQ(error_of([&] { log.check(0.01); }),
            "11 of 1000 input rows are bad, more than the error limit of 1.000 %: 1 x bad number (interactions.tsv:77: "
            "time 'x' "
            "is no number or "
            "date), 10 x duplicate (interactions.tsv:1: twice; interactions.tsv:2: twice; interactions.tsv:3: twice); "
            "mend the "
            "files or raise "
            "the error limit (repeated events are normal? merge duplicates)");
}

}  // namespace
}  // namespace cllm::testing
