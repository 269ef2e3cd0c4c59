// Forms of tables whose fields are not what a table's fields are: lists of ids, objects, other separators.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

constexpr auto kColumns = FaultKind::kColumns, kPublic = FaultKind::kPublicFiles;

Forms forms_of_lists() {
  const auto list = [](const std::string& name, const std::string& form, const std::string& file,
                       const std::string& content, const std::string& example, const std::string& remedy) {
    return refused_form(kColumns, name, form, "refused with what makes a row per pair", {{file, content}},
                        {"the item of most rows is a list, as '" + example + "', and one id is expected", remedy});
  };
  return {
      list("lists_behind_a_tab", "a user, a tab, `105 119 103` (MicroLens)", "interactions.tsv",
           "1\t105 119 103\n2\t101 115\n3\t119\n", "105 119 103",
           "awk -F'\\t' '{m = split($2, i, \" \"); for (n = 1; n <= m; ++n) print $1 \"\\t\" i[n]}' OLD"),
      list("lists_with_commas", "`user,item` above `u,\"105,119\"`", "interactions.csv",
           "user,item\nu,\"105,119,103\"\nv,\"101,115\"\n", "105,119,103",
           "t['item'].str.strip('[](){}').str.split(',')"),
      list("lists_of_pandas", "`['a1', 'a2']` for an item in each row", "interactions.csv",
           "user,item\nu,\"['a1', 'a2', 'a3']\"\nv,\"['a1', 'a4']\"\n", "['a1', 'a2', 'a3']",
           "t['item'] = t['item'].map(ast.literal_eval); t.explode('item')"),
      list("lists_of_numpy", "`[105 119 103]` for an item", "interactions.csv",
           "user,item,time\nu,[105 119 103],1\nv,[101 115],2\n", "[105 119 103]", "t.explode('item')"),
      list("lists_in_json", "`\"item\": \"105|119\"` in JSON", "interactions.jsonl",
           "{\"user\": 1, \"item\": \"105|119\"}\n{\"user\": 2, \"item\": \"101|119|7\"}\n", "105|119",
           ".str.split('|')"),
  };
}

/// ASCII, little-endian.
std::string in_utf32(const std::string& text) {
  std::string out;
  for (const char c : text) out += std::string{c, '\0', '\0', '\0'};
  return out;
}

Forms forms_of_blocks_and_counts() {
  return {
      refused_form(kColumns, "lists_with_their_length", "`4 10 11 12 13` per line, the first is how many (CiteULike)",
                   "refused with the command that makes pairs of it",
                   {{"interactions.txt", "2 10 11\n3 10 12 14\n1 9\n"}}, {"(CiteULike)", "print NR"}),
      refused_form(kColumns, "lists_with_values", "`1 105:1 119:1` per line (libsvm)", "the same",
                   {{"interactions.txt", "1 105:1 119:1\n2 105:1\n3 7:1 8:1 9:1\n"}}, {"split($n, i, \":\")"}),
      refused_form(kPublic, "blocks_of_netflix", "`1:` above the rows of an item (Netflix)",
                   "refused with the command that makes a table of it",
                   {{"interactions.txt", "1:\n17,3,2005-02-03\n34,4,2005-03-04\n"}}, {"(Netflix)", "awk -F,"}),
      refused_form(kPublic, "blocks_of_snap", "`product/productId: B` and a line per field (SNAP)", "the same",
                   {{"interactions.txt", "product/productId: B1\nreview/userId: A1\nreview/score: 4.0\n"}},
                   {"(SNAP)", "awk -F': '"}),
      refused_form(kPublic, "ratings_in_words", "`good` for a rating", "refused; `--columns rating=none` is named",
                   {{"interactions.csv", "user,item,rating\nu,a,good\nu,b,bad\n"}}, {"--columns rating=none"}),
      read_form(kPublic, "hours", "times as `2014-12-06 02`", "read, in their order",
                {{"interactions.csv", "user,item,time\n" + rows_in_order(",", "2014-12-06 0", "")}}),
  };
}

Forms forms_of_lines_above() {
  const std::string table = "user,item,time\n" + with_each_row("@,#,%", kEpoch);
  const auto noted = [&](const std::string& name, const std::string& form, const std::string& above, int lines) {
    return read_form(kColumns, name, form, "read, their number is noted", {{"interactions.csv", above + table}},
                     {"not read: " + std::to_string(lines) + " line(s) of comments or titles above the rows"});
  };
  const std::string triples = with_each_row("@ # 1", "");
  return {
      noted("title", "`Ratings of May, all users` and an empty line above a header", "Ratings of May, all users\n\n",
            2),
      noted("title_of_a_workbook", "`Ratings,,` and `,,` above a header (a workbook)", "Ratings,,\n,,\n", 2),
      noted("comments_of_other_kinds", "`// all`, `;; all`, `-- all`, `-----` above a header",
            "// all\n;; all\n-- all\n-----\n", 4),
      refused_form(kColumns, "title_alone", "a title above rows without a header", "refused with what takes it out",
                   {{"interactions.csv", "Ratings of May\n" + with_each_row("@,#,%", kEpoch)}},
                   {"line 2 has 3 columns: if the first is a title, take it out: tail -n +2"}),
      refused_form(kPublic, "matrix_market", "`%%MatrixMarket matrix coordinate` (SciPy, SuiteSparse)",
                   "refused with the command that makes a table of it",
                   {{"interactions.tsv", "%%MatrixMarket matrix coordinate integer general\n%\n2 3 6\n" + triples}},
                   {"a matrix of Matrix Market", "grep -v '^%'"}),
  };
}

Forms forms_of_denials() {
  const std::string denied = "u,d,0,1300000009\nv,e,0,1300000009\n";
  const Files table = {{"interactions.csv", "user,item,label,time\n" + with_each_row("@,#,1,%", kEpoch) + denied}};
  return {
      shown(
          refused_form(kPublic, "labels", "`user,item,click` with clicks of 0 and 1",
                       "refused: `--columns rating=click --rating-threshold 1`, or `rating=none`", table,
                       {"'label' is 0 and 1", "--columns rating=label --rating-threshold 1", "--columns rating=none"})),
      refused_form(kPublic, "labels_with_gaps", "the same, empty for some rows", "the same",
                   {{"interactions.csv", "user,item,clicked\nu,a,\nu,b,1\nu,c,0\nv,a,1\n"}},
                   {"'clicked' is 0 and 1", "--columns rating=clicked"}),
      read_form(kPublic, "labels_settled", "the same with `--columns rating=label --rating-threshold 1`",
                "read without the rows of 0", table, {}, "--columns rating=label --rating-threshold 1"),
      refused_form(kPublic, "prefixes", "`item_id_list:token_seq` beside `item_id` (RecBole, for sequences)",
                   "refused with the command that makes pairs of it",
                   {{"a.inter", "session_id:token\titem_id_list:token_seq\titem_id:token\ns\ta b\tc\ns\ta\tb\n"}},
                   {"item_id_list holds what came before item_id", "split($2, i, \" \"); i[++n] = $3"}),
      refused_form(kColumns, "rounded", "items as `1.23E+17` (a spreadsheet)", "refused: digits are lost",
                   {{"interactions.csv", "user,item\nu,1.23E+17\nu,1.24E+17\nv,1.23E+17\nv,7\n"}},
                   {"the item of most rows is a number that a spreadsheet rounded, as '1.23E+17'"}),
      refused_form(kColumns, "users_for_keys", R"(`{"u": ["a", "b"], "v": ["a"]}`)",
                   "refused with the command that makes pairs of it",
                   {{"interactions.json", R"({"u": ["a", "b"], "v": ["a"]})"}},
                   {"keys are ids", "jq -r 'to_entries[] | .key as $u | .value[]"}),
      refused_form(kColumns, "users_for_keys_of_ratings", R"(`{"u": {"a": 5, "b": 4}}` per line)", "the same",
                   {{"interactions.jsonl", "{\"u\": {\"a\": 5}}\n{\"v\": {\"a\": 4}}\n"}},
                   {"keys are ids", ".value | to_entries[]"}),
  };
}

Forms forms_of_other_rows() {
  const std::string object = R"({"user": "@", "item": "#", "time": 13000000%})";
  return {
      read_form(kPublic, "objects_in_a_txt", "objects of JSON in a `.txt`", "read, noted",
                {{"interactions.txt", with_each_row(object, "0")}},
                {"interactions.txt: lines are objects of JSON, and read as such"}),
      refused_form(kPublic, "tuples_of_python", "`(1, 105)` per line", "refused with what takes the brackets off",
                   {{"interactions.txt", "(1, 105)\n(1, 119)\n(2, 105)\n"}},
                   {"'(1, 105)' is a row in brackets", "sed"}),
      refused_form(kPublic, "rows_in_brackets", "`[1, 105]` per line in a `.csv`", "the same",
                   {{"interactions.csv", "[1, 105]\n[1, 119]\n[2, 105]\n"}},
                   {"'[1, 105]' is a row in brackets", "sed"}),
      refused_form(kPublic, "array_in_a_txt", "an array of JSON over lines in a `.txt`", "refused; jq is named",
                   {{"interactions.txt", "[\n{\"user\": 1, \"item\": 105},\n"}},
                   {"begins an array of JSON", "jq -c '.[]'"}),
  };
}

Forms forms_of_quotes_and_marks() {
  const std::string mark = "\xEF\xBB\xBF";
  const std::string rows = "u,c,1300000003\nu,a,1300000001\nu,b,1300000002\n";
  const std::string others = "v,c,1300000003\nv,a,1300000001\nv,b,1300000002\n";
  const auto numbers = with_each_row("@,#,%", kEpoch);
  return {
      read_form(kColumns, "blanks_before_quotes", "`u, \"a\", 1300000001`", "read without blanks and quotes",
                {{"interactions.csv", "user, item, time\n" + with_each_row("@, \"#\", %", kEpoch)}}),
      read_form(kColumns, "marks_within", "a BOM again, where files were joined", "left out",
                {{"interactions.csv", mark + rows + mark + others}}),
      read_form(kColumns, "numbers_for_names", "`0,1,2` above the rows (pandas)", "left out, noted",
                {{"interactions.csv", "0,1,2\n" + numbers}}, {"not read: the first row, '0 1 2', pandas' header"}),
      read_form(kColumns, "numbers_for_names_settled", "the same with `--columns user=1,item=2,time=3`", "the same",
                {{"interactions.csv", "0,1,2\n" + numbers}}, {"not read: the first row"},
                "--columns user=1,item=2,time=3"),
      {kPublic,
       "ties_of_days",
       "dates alone, several items a day",
       "read; for how many users the file decides is noted",
       raw_files({{"interactions.csv",
                   "user,item,date\nu,a,2011-01-02\nu,b,2011-01-02\nu,c,2011-01-02\n"
                   "v,a,2011-01-01\nv,b,2011-01-02\nv,c,2011-01-03\n"}}),
       {kPrepareForm},
       0,
       {"of 1 of 2 users the last or the one before has the time of another"},
       "u c, v c"},
      read_form(kPublic, "utf_32", "UTF-32 with its mark", "read",
                {{"interactions.csv", std::string("\xFF\xFE\0\0", 4) + in_utf32("user,item,time\n" + numbers)}}),
  };
}

Forms forms_of_separators() {
  const std::string hive = with_each_row("@\x01#\x01%", kEpoch);
  return {
      read_form(kColumns, "pipes_in_ids", "`auth0|u,a,1300000001` without a header in a `.txt`",
                "read by the separator that gives the most fields",
                {{"interactions.txt", with_each_row("@,#,%,x|y", kEpoch)}}, {"fields are separated by ','"},
                "--columns user=1,item=2,time=3"),
      refused_form(kColumns, "separated_by_ctrl_a", "Ctrl-A between fields (Hive), `^`, `~`",
                   "refused; `--separator` is named", {{"interactions.txt", hive}},
                   {"if '\\x01' separates the fields: --separator '\\x01'"}),
      read_form(kColumns, "separated_by_ctrl_a_settled", "the same with `--separator ctrl-a`", "read",
                {{"interactions.txt", hive}}, {}, "--separator ctrl-a"),
      read_form(kColumns, "separated_by_carets", "`^` between fields with `--separator ^`", "read",
                {{"interactions.csv", with_each_row("@^#^%", kEpoch)}}, {}, "--separator ^"),
  };
}

/// 1,000 rows with `first` as the description, then two with texts.
std::pair<std::string, std::string> late_texts(const std::string& first) {
  std::string rows = "item,title,description\n";
  for (int n = 1; n <= 1000; ++n) rows += "x" + std::to_string(n) + ",a thing," + first + "\n";
  return {"items.csv", rows + "a,a fine thing,all of it\nb,another thing,more of it\nc,one,less of it\n"};
}

Forms forms_of_late_texts() {
  constexpr auto kTexts = FaultKind::kTexts;
  auto numbers = late_texts("5");
  for (int n = 1; n <= 100; ++n) numbers.second += "y" + std::to_string(n) + ",a thing,some text\n";
  // Items that no interaction has are read, and left by the filter of one interaction.
  const std::string filter = "--k-core 1";
  return {
      read_form(kTexts, "texts_behind_empty_rows",
                "a column that is empty or `NaN` in the first 1,000 rows, then texts",
                "read, noted with its line and number", {plain(), late_texts("NaN")},
                {"items.csv: texts of the kinds 'description' (first in line 1002, 3 rows)"}, filter),
      read_form(
          kTexts, "texts_behind_numbers", "a column of numbers in the first 1,000 rows, then texts",
          "noted with its line, its number, and the remedy", {plain(), numbers},
          {"items.csv: not used: texts of 'description' (first in line 1002, 103 rows)", "put rows with texts first"},
          filter),
  };
}

Forms forms_of_odd_times() {
  const auto table = [](const std::string& last) {
    return Files{{"interactions.csv", "user,item,time\n" + with_each_row("@,#,%", kEpoch) + last}};
  };
  const auto refused = [&](const std::string& name, const std::string& time) {
    return refused_form(kPublic, name, "`" + time + "` where a time is not known",
                        "refused beyond the error limit, else noted with value and place", table("u,d," + time + "\n"),
                        {"1 of 7 times are far from all others (interactions.csv:8: " + time.substr(0, 10) + ")",
                         "leave such cells empty"});
  };
  const std::string spent =
      "user,item,time,date\nu,c,13,2014-04-06\nu,a,52,2013-04-06\nu,b,26,2013-05-06\n"
      "v,c,14,2014-04-06\nv,a,65,2013-04-06\nv,b,44,2013-05-06\n";
  return {
      refused("times_that_never_come", "9999-12-31T23:59:59"),
      refused("the_last_second_of_32_bits", "2147483647"),
      {kPublic,
       "times_before_there_were_any",
       "`1900-01-01`, `-999` where a time is not known",
       "noted; the value and a place are shown",
       raw_files(table("w,a,-999\n")),
       {kPrepareForm},
       0,
       {"1 of 7 times are far from all others (interactions.csv:8: -999): are they missing? They come first"},
       "u c, v c"},
      refused_form(kPublic, "seconds_spent", "`time,date` with `52,2014-04-06`, seconds spent",
                   "refused; the options are named", {{"interactions.csv", spent}},
                   {"the time column 'time' (13) holds small numbers, which do not go up with the dates of 'date'",
                    "--columns time=date or --columns time=time"}),
      read_form(kPublic, "seconds_spent_settled", "the same with `--columns time=date`", "read",
                {{"interactions.csv", spent}}, {}, "--columns time=date"),
  };
}

}  // namespace

Forms forms_of_fields() {
  Forms all = forms_of_lists();
  for (const Forms& forms :
       {forms_of_other_rows(), forms_of_separators(), forms_of_late_texts(), forms_of_odd_times(),
        forms_of_quotes_and_marks(), forms_of_blocks_and_counts(), forms_of_lines_above(), forms_of_denials()})
    all.insert(all.end(), forms.begin(), forms.end());
  return all;
}

}  // namespace cllm::testing
