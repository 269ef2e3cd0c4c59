#include "data/ingest/reading/table_reader.h"

#include <gmock/gmock.h>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using Rows = std::vector<std::vector<std::string>>;

/// user, item, time by position, where there is no header.
const TableSpec kTable = {{column(Role::kUser), column(Role::kItem), column(Role::kTime, false)}};

Rows read_all(const std::filesystem::path& file, ProblemLog& log) {
  Intake intake{log, {}};
  TableReader reader(file, kTable, intake);
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

TEST(TableReader, takes_quotes_inside_of_fields_for_characters_as_python_does) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(
      read_all(scratch.write("a.csv", "u,a 10\" screen,1\nv,\"5\" disk\",2\nw,x\"y\"\"z,3\nz,\"q\" \"r\",4\n"), log),
      (Rows{{"u", "a 10\" screen", "1"}, {"v", "5 disk\"", "2"}, {"w", "x\"y\"\"z", "3"}, {"z", "q \"r\"", "4"}}));
  EXPECT_EQ(log.bad_rows(), 0u);
}

TEST(TableReader, swallows_no_rows_between_two_stray_quotes) {
  const Scratch scratch;
  ProblemLog log;
  const auto file =
      scratch.write("a.csv", "u,\"open,1\nv,j,2\nw,\"closed\",3\nx,\"over\nlines\",4\ny,\"open again,5\nz,k,6\n");
  EXPECT_EQ(read_all(file, log),
            (Rows{{"v", "j", "2"}, {"w", "closed", "3"}, {"x", "over\nlines", "4"}, {"z", "k", "6"}}));
  EXPECT_EQ(log.rows(), 6u);
  EXPECT_THAT(log.tally(Problem::kColumns).examples,
              ::testing::ElementsAre("a.csv:1: a quote is never closed: 'u,\"open,1'",
                                     "a.csv:6: a quote is never closed: 'y,\"open again,5'"));
}

TEST(TableReader, reads_a_tsv_whose_header_is_quoted_as_one_with_quoting_and_notes_quotes_in_others) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.tsv", "\"user\"\t\"item\"\t\"time\"\n\"u\"\t\"i\tj\"\t3\n"), log),
            (Rows{{"u", "i\tj", "3"}}));
  EXPECT_THAT(log.notes(), ::testing::IsEmpty());
  EXPECT_EQ(read_all(scratch.write("b.tsv", "user\titem\ttime\nu\t\"i\"\t3\n"), log), (Rows{{"u", "\"i\"", "3"}}));
  EXPECT_THAT(log.notes(), ::testing::ElementsAre(::testing::HasSubstr("b.tsv:2: a field begins with a quote")));
}

TEST(TableReader, finds_another_separator_and_says_so) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.csv", "\"User-ID\";\"ISBN\"\n\"u\";\"1,2\"\n"), log), (Rows{{"u", "1,2", ""}}));
  EXPECT_EQ(read_all(scratch.write("b.dat", "u::i::3\n"), log), (Rows{{"u", "i", "3"}}));
  EXPECT_EQ(read_all(scratch.write("c.txt", "user,item\nu,i\n"), log), (Rows{{"u", "i", ""}}));
  EXPECT_THAT(log.notes(),
              ::testing::ElementsAre("a.csv: fields are separated by ';'", "c.txt: fields are separated by ','"));
}

TEST(TableReader, takes_the_header_again_for_a_bad_row) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.csv", "user,item\nu,i\nuser,item\nv,j\n"), log),
            (Rows{{"u", "i", ""}, {"v", "j", ""}}));
  EXPECT_THAT(log.tally(Problem::kColumns).examples, ::testing::ElementsAre("a.csv:3: the header again"));
}

TEST(TableReader, reads_json_with_nan_dates_of_mongodb_and_keys_that_come_late) {
  const Scratch scratch;
  ProblemLog log;
  std::string lines = R"({"userId": "u", "Item": "i", "score": NaN})"
                      "\n";
  for (int n = 0; n < 2000; ++n)
    lines += R"({"userId": "u", "Item": "i"})"
             "\n";
  lines += R"({"userId": "v", "Item": "j", "timestamp": {"$date": "2018-07-07T22:09:11Z"}})"
           "\n"
           R"({"userId": "w", "Item": "k", "date": 7, "size": 9})"
           "\n"
           R"({"userId": "w", "Item": "l", "size": null, "date": 8})"
           "\n";
  const Rows rows = read_all(scratch.write("a.jsonl", lines), log);
  ASSERT_EQ(rows.size(), 2004u);
  EXPECT_EQ(rows.front(), (std::vector<std::string>{"u", "i", ""}));
  EXPECT_EQ(rows[2001], (std::vector<std::string>{"v", "j", "2018-07-07T22:09:11Z"}));
  EXPECT_EQ(rows[2002], (std::vector<std::string>{"w", "k", ""}));
  EXPECT_THAT(log.notes(), ::testing::ElementsAre(
                               "a.jsonl: not used: score",
                               "a.jsonl: not used: 'date' (first in line 2003, 2 rows), 'size' (first in line 2003, 1 "
                               "rows); the first 1000 rows, by which a file is understood, have no such key"));
}

TEST(TableReader, takes_one_key_for_a_column_in_all_rows) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(
      read_all(scratch.write("a.jsonl", R"({"user_id": null, "session_id": "s", "item": "i", "ts": null, "time": 5}
{"user_id": "u", "item": "i", "ts": null, "time": 5}
{"user_id": "u", "item": "j", "ts": null, "day": 9}
)"),
               log),
      (Rows{{"u", "i", "5"}, {"u", "j", ""}}));
  EXPECT_THAT(log.tally(Problem::kColumns).examples,
              ::testing::ElementsAre("a.jsonl:1: no 'user' in the object (its key in this file: 'user_id')"));
  EXPECT_THAT(log.notes(), ::testing::ElementsAre("a.jsonl: not used: session_id, ts, day"));
}

TEST(TableReader, names_the_lines_of_quotes_that_are_never_closed) {
  const Scratch scratch;
  ProblemLog log;
  const auto file = scratch.write("a.csv", "u,i,1\nv,\"j,2\nw,k,3\n");
  EXPECT_EQ(read_all(file, log), (Rows{{"u", "i", "1"}, {"w", "k", "3"}}));
  EXPECT_THAT(log.tally(Problem::kColumns).examples,
              ::testing::ElementsAre("a.csv:2: a quote is never closed: 'v,\"j,2'"));
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
{"user_id": "u", "item": [["a"]], "time": null, "more": {"x": 1}}
{"user_id": "u", "item": [["a", "b"], [], ["c"]]}
{"user_id": ["u", "v"], "item": "a"}
{"user_id": "u", "item": "['a', \"b\"]"}
)"),
                             log);
  EXPECT_EQ(rows, (Rows{{"17", "i", "5"}, {"u", "a", ""}}));
  EXPECT_THAT(log.tally(Problem::kColumns).examples,
              ::testing::ElementsAre("a.jsonl:3: a list where one item is expected: 'a, b, c'",
                                     "a.jsonl:4: a list where one user is expected: 'u, v'",
                                     "a.jsonl:5: a list where one item is expected: '['a', \"b\"]'"));
  EXPECT_EQ(read_all(scratch.write("b.csv", "user,item\nu,\"['a', 'b']\"\nu,['a']\nu,[a]\n"), log),
            (Rows{{"u", "['a']", ""}, {"u", "[a]", ""}}));
}

TEST(TableReader, counts_and_locates_bad_rows) {
  const Scratch scratch;
  ProblemLog log;
  EXPECT_EQ(read_all(scratch.write("a.tsv", "u\ti\t1\nu\ti\nu\t\xFF\t1\nv\tj\t2\n"), log).size(), 2u);
  EXPECT_EQ(read_all(scratch.write("b.jsonl", "[1]\n{\"user\": 1}\n{broken\n{\"user\": 1, \"item\": 2}\n"), log).size(),
            1u);
  EXPECT_EQ(log.rows(), 8u);
  EXPECT_THAT(log.tally(Problem::kColumns).examples,
              ::testing::ElementsAre("a.tsv:2: 2 columns instead of 3", "b.jsonl:2: no 'item' in the object"));
  EXPECT_THAT(log.tally(Problem::kUtf8).examples, ::testing::ElementsAre("a.tsv:3: 'u\\x09\\xFF\\x091'"));
  EXPECT_THAT(log.tally(Problem::kJson).examples,
              ::testing::ElementsAre("b.jsonl:1: '[1]' begins one large array; write one object per line: jq -c '.[]'",
                                     "b.jsonl:3: '{broken'"));
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
  EXPECT_THAT(
      error_of([&] { read_all(scratch.write("d.jsonl", "{\"user\": 1, \"thing\": 2}\n"), log); }),
      ::testing::HasSubstr("d.jsonl:1: no 'item' in the object, objects without a column 'item' (it has thing, user)"));
  EXPECT_THAT(error_of([&] { read_all(scratch.write("e.csv", "user,\xE9t\xE9\nu,i\n"), log); }),
              ::testing::HasSubstr("e.csv:1: not UTF-8: '\\xE9t\\xE9'; is it Latin-1? --encoding windows-1252"));
  EXPECT_THAT(error_of([&] { read_all(scratch.write("b.tsv", "a\tb\tc\td\n"), log); }),
              ::testing::HasSubstr("4 columns and no header"));
  EXPECT_THAT(error_of([&] { read_all(scratch.write("c.xml", "PAR1"), log); }),
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
  const auto at = [&](uint64_t line) {
    Origin origin;
    origin.line = line & 0xFFFFFFFFFFFF;
    origin.file = file & 0xFFFF;
    return origin;
  };
  for (uint64_t line = 1; line <= 1000; ++line) log.count_row(at(line));
  log.add_hint("repeated events are normal? --merge-duplicates");
  for (uint64_t line = 1; line <= 10; ++line) log.add(Problem::kDuplicate, at(line), "twice");
  EXPECT_NO_THROW(log.check(0.01));
  log.add(Problem::kNumber, at(77), "time 'x' is no number or date");
  EXPECT_EQ(error_of([&] { log.check(0.01); }),
            "11 of 1000 input rows are bad, more than the error limit of 1.000 %: 1 x bad number (interactions.tsv:77: "
            "time 'x' "
            "is no number or "
            "date), 10 x duplicate (interactions.tsv:1: twice; interactions.tsv:2: twice; interactions.tsv:3: twice); "
            "mend the "
            "files or raise --error-limit (repeated events are normal? --merge-duplicates)");
}

TEST(ProblemLog, refuses_a_file_whose_rows_are_bad_beside_a_large_one) {
  ProblemLog log;
  log.open("/data/ratings.csv");
  log.open("/data/movies.csv");
  const auto fill = [&](uint64_t file, uint64_t rows, uint64_t bad) {
    for (uint64_t line = 1; line <= rows; ++line) {
      Origin origin;
      origin.line = line & 0xFFFFFFFFFFFF;
      origin.file = file & 0xFFFF;
      log.count_row(origin);
      if (line <= bad) log.add(Problem::kColumns, origin, "2 columns instead of 3");
    }
  };
  fill(0, 10000, 0);
  fill(1, 7, 3);
  EXPECT_NO_THROW(log.check(0.01)) << "few, and less than half";
  EXPECT_NO_THROW(log.check(0.001));
  fill(1, 1, 1);
  EXPECT_EQ(error_of([&] { log.check(0.01); }).substr(0, 74),
            "4 of 8 rows of movies.csv are bad, more than the error limit of 1.000 %: 4");
  EXPECT_NO_THROW(log.check(0.5));
}

}  // namespace
}  // namespace cllm::testing
