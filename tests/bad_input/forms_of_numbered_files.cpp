// Forms of files that are parts of one table, of links, and of names that do not say what a file is.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {

std::string rows_of(const std::string& header, const std::string& row, const std::string& of) {
  std::string out = header.empty() ? "" : header + "\n";
  const std::string all = with_each_row(row, kEpoch);
  const size_t half = all.size() / 2;
  return out + (of == "uv" ? all : of == "u" ? all.substr(0, half) : all.substr(half));
}

namespace {

constexpr auto kNumbered = FaultKind::kPublicFiles;
const std::string kTimed = "user,item,time", kTimedRow = "@,#,%";

Forms parts_of_tables() {
  const std::string object = R"({"user": "@", "item": "#", "time": %})";
  const std::string items = "item,title\na,One more\nb,Two more\nc,Three more\n";
  return {
      read_form(kNumbered, "parts_of_spark",
                "`part-00000-6f1a-c000.csv`, `part-00001-6f1a-c000.csv`, `_SUCCESS` (Spark)",
                "read as one table, noted",
                {{"part-00000-6f1a-c000.csv", rows_of(kTimed, kTimedRow, "u")},
                 {"part-00001-6f1a-c000.csv", rows_of(kTimed, kTimedRow, "v")},
                 {"_SUCCESS", ""}},
                {"part-00000-6f1a-c000.csv, part-00001-6f1a-c000.csv: read as one table, in this order"}),
      read_form(kNumbered, "folder_of_spark", "such a folder called `interactions.csv` beside `items.csv`", "the same",
                {{"interactions.csv/part-00000-6f1a-c000.csv", rows_of(kTimed, kTimedRow, "u")},
                 {"interactions.csv/part-00001-6f1a-c000.csv", rows_of(kTimed, kTimedRow, "v")},
                 {"items.csv", items}},
                {"read as one table", "3 texts of"}),
      read_form(kNumbered, "numbered_interactions", "`interactions-0.csv`, `interactions-1.csv` and `items.csv`",
                "the same",
                {{"interactions-0.csv", rows_of(kTimed, kTimedRow, "u")},
                 {"interactions-1.csv", rows_of(kTimed, kTimedRow, "v")},
                 {"items.csv", items}},
                {"interactions-0.csv, interactions-1.csv: read as one table", "3 texts of"}),
      read_form(kNumbered, "cut_by_split", "`clicks_00.csv` with a header, `clicks_01.csv` without (split -l)",
                "the same",
                {{"clicks_00.csv", rows_of(kTimed, kTimedRow, "u")}, {"clicks_01.csv", rows_of("", kTimedRow, "v")}},
                {"clicks_00.csv, clicks_01.csv: read as one table"}),
      read_form(kNumbered, "parts_of_json", "`log.9.json` and `log.10.json`", "the same, 9 before 10",
                {{"log.9.json", rows_of("", object, "u")}, {"log.10.json", rows_of("", object, "v")}},
                {"log.9.json, log.10.json: read as one table, in this order"}),
      refused_form(
          kNumbered, "parts_of_two_headers", "`clicks_0.csv` and `clicks_1.csv` with other headers", "refused",
          {{"clicks_0.csv", rows_of(kTimed, kTimedRow, "u")}, {"clicks_1.csv", rows_of("item,user,day", "#,@,%", "v")}},
          {"no input found; it holds clicks_0.csv, clicks_1.csv"}),
      refused_form(kNumbered, "sizes_of_one_data_set", "`ml-10m.csv` and `ml-20m.csv`", "refused: sizes are no parts",
                   {{"ml-10m.csv", rows_of(kRatings, kRating)}, {"ml-20m.csv", rows_of(kRatings, kRating)}},
                   {"no input found; it holds ml-10m.csv, ml-20m.csv"}),
      refused_form(kNumbered, "an_end_nobody_knows", "`ra.log` of `user::item::rating::time`",
                   "refused; the end of its name is why, and the command that mends it is named",
                   {{"ra.log", rows_of("", "@::#::&.5::%")}},
                   {"the end of a file's name says what kind of table it is", "mv raw/ra.log raw/ra.log.dat"}),
      refused_form(kNumbered, "no_end_at_all", "`ratings` without an end", "the same",
                   {{"ratings", rows_of(kTimed, kTimedRow)}}, {"mv raw/ratings raw/ratings.csv"}),
      refused_form(kNumbered, "a_feather_file", "`a.feather`", "refused with what it is and what to do",
                   {{"a.feather", std::string("ARROW1\0\0", 8) + "x"}},
                   {"a.feather: by its first bytes a Feather file", "to_parquet"}),
      refused_form(kNumbered, "a_table_of_delta_lake", "a folder with `_delta_log`",
                   "refused; the command that writes plain Parquet is named",
                   {{"part-0.parquet", "PAR1"}, {"_delta_log/00000000000000000000.json", "{}"}},
                   {"a table of the format delta", ".write.parquet('NEW')"})};
}

Forms missing_parts() {
  const auto stopped = [](const std::string& name, const std::string& form, Files files, const std::string& what) {
    return refused_form(kNumbered, name, form, "refused; what is missing is named", std::move(files), {what});
  };
  const std::string u = rows_of(kTimed, kTimedRow, "u"), v = rows_of(kTimed, kTimedRow, "v");
  const std::string one_of_three = "2 of 3 parts of a table: train-00001-of-00003.";
  Form link{kNumbered,
            "a_link_to_nothing",
            "`items.csv` is a link to a file that is not there",
            "refused; the link and its end are named",
            [files = raw_files({plain()})] {
              files();
              std::filesystem::create_symlink("gone.csv", "raw/items.csv");
            },
            {kPrepareForm},
            65,
            {"raw/items.csv: a link to gone.csv, which is not there"}};
  return {
      stopped("a_download_that_stopped", "`train-00000-of-00003.parquet` and `-00002-of-00003` (Hugging Face)",
              {{"data/train-00000-of-00003.parquet", "PAR1"}, {"data/train-00002-of-00003.parquet", "PAR1"}},
              one_of_three + "parquet is not there"),
      stopped("a_download_of_tables_that_stopped", "the same as `.csv`",
              {{"train-00000-of-00003.csv", u}, {"train-00002-of-00003.csv", v}}, one_of_three + "csv is not there"),
      stopped("a_download_that_counts_from_one", "`log-2-of-3.csv` and `log-3-of-3.csv.gz`",
              {{"log-2-of-3.csv", u}, {"log-3-of-3.csv.gz", v}}, "2 of 3 parts of a table: log-1-of-3.csv is not"),
      read_form(kNumbered, "all_of_a_download", "`train-00000-of-00002.csv` and `-00001-of-00002`", "read as one table",
                {{"train-00000-of-00002.csv", u}, {"train-00001-of-00002.csv", v}}, {"read as one table"}),
      read_form(kNumbered, "a_gap_in_parts", "`part-00000.csv` and `part-00002.csv`", "read; what is missing is noted",
                {{"part-00000.csv", u}, {"part-00002.csv", v}}, {"note: part-00001.csv is not there"}),
      read_form(kNumbered, "a_part_without_rows", "`part-00000.csv` of no bytes before others (Spark)",
                "read without it, noted", {{"part-00000.csv", ""}, {"part-00001.csv", u}, {"part-00002.csv", v}},
                {"part-00001.csv, part-00002.csv: read as one table", "part-00000.csv: without any row"}),
      read_form(kNumbered, "parts_packed_or_not", "`part-00000.csv.gz` beside `part-00001.csv`", "read as one table",
                {{"part-00000.csv.gz", u}, {"part-00001.csv", v}},
                {"part-00000.csv.gz, part-00001.csv: read as one table"}),
      refused_form(kNumbered, "one_part_twice", "`part-00000.csv.gz` beside `part-00000.csv`",
                   "refused: one part twice", {{"part-00000.csv.gz", u}, {"part-00000.csv", u}, {"part-00001.csv", v}},
                   {"part-00000.csv.gz: one part twice; leave one of them"}),
      refused_form(kNumbered, "parts_of_other_orders", "`part-00001.csv` has the columns in another order", "refused",
                   {{"part-00000.csv", u}, {"part-00001.csv", rows_of("item,user,time", "#,@,%", "v")}},
                   {"their headers differ in the order of the columns", "pandas.concat"}),
      link};
}

}  // namespace

Forms forms_of_numbered_files() {
  Forms all = parts_of_tables();
  for (Form& form : missing_parts()) all.push_back(std::move(form));
  return all;
}

}  // namespace cllm::testing
