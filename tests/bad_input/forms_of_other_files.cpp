// More forms of raw files: what public data sets and their copies look like, found by trying them.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

/// A table of its own with a header, comma separated.
std::pair<std::string, std::string> csv(const std::string& header, const std::string& row,
                                        const std::string& name = "interactions.csv") {
  return {name, header + "\n" + with_each_row(row, kEpoch)};
}

Forms other_columns() {
  constexpr auto kKind = FaultKind::kColumns;
  return {
      read_form(kKind, "separated_by_blanks", "`user_id item_id timestamp`, separated by blanks",
                "read, the separator is noted", {csv("user_id item_id timestamp", "@  # %", "interactions.txt")},
                {"fields are separated by 'blanks'"}),
      refused_form(kKind, "lists_of_items", "a line per user, `7 10 11 12` (LightGCN)",
                   "refused with the command that makes pairs of it",
                   {{"train.txt", "0 10 11 12\n1 11 14\n2 10 12 13 14\n3 9\n"}}, {"lists 'user item item ...'", "awk"}),
      read_form(kKind, "index_of_pandas", "a first column without a name, of pandas", "read, the column is not used",
                {csv(",user,item,time", "&,@,#,%")}, {"not used: column 1 (no name)"}),
      refused_form(kKind, "twins", "`user_id` twice in a header", "refused; the option that settles it is named",
                   {csv("user_id,item,time,User ID", "@,#,%,x")},
                   {"names 'user_id' twice, columns 1 and 4", "--columns user=1"}),
      read_form(kKind, "twins_settled", "the same with `--columns user=1`", "read",
                {csv("user_id,item,time,User ID", "@,#,%,x")}, {}, "--columns user=1"),
      read_form(kKind, "blank_behind_commas", "`user, item, time`, a blank behind each comma",
                "read, ids have no blanks around them",
                {csv("user, item, time", "@, #, %"), {"items.csv", "item, title\na, x y\nb, y z\nc, z z\n"}}),
      refused_form(kKind, "unknown_header_of_texts", "`product,reviewer,opinion` above texts of numbered pairs",
                   "refused, not read by position",
                   {plain(), {"texts.csv", "product,reviewer,opinion\n1,2,fine words\n2,1,SECRET\n"}},
                   {"texts.csv:1: header without a column 'text' (it has product, reviewer, opinion)"}),
      read_form(
          kKind, "no_id_at_all", "`nan`, `NULL` and nothing where an id belongs", "bad rows with file:line",
          {{"interactions.csv", "user,item,time\n" + rows_in_order(",", kEpoch, "") + "nan,a,1\nu,NULL,1\n,b,1\n"}},
          {"bad rows left out, empty or overlong id: 3", "interactions.csv:8: user 'nan'"}, "--error-limit 0.5"),
      refused_form(kKind, "pointer_of_git_lfs", "a Git LFS pointer in the place of a table",
                   "refused with its first line",
                   {{"interactions.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 12\n"}},
                   {"('version https://git-lfs"}),
      refused_form(kKind, "chosen_column_that_is_not_there", "`--columns user=visitor` where none is called so",
                   "refused; what is there and the option are named", {csv("user,item,time", "@,#,%")},
                   {"without a column 'visitor' (it has user, item, time)", "--columns user=NAME"},
                   "--columns user=visitor"),
      read_form(kKind, "comments_above", "`% bip weighted` and `# 2 3` above the rows (KONECT, SNAP)",
                "read, the lines are noted",
                {csv("% bip weighted\n# 2 3\nuser item time", "@ # %", "interactions.txt")},
                {"not read: 2 line(s) of comments or titles above the rows"}),
      read_form(kKind, "separator_of_excel", "`sep=;` above the header, of Excel", "read, the line is noted",
                {csv("sep=;\nuser;item;time", "@;#;%")}, {"not read: 1 line(s) of comments", "separated by ';'"}),
      refused_form(kKind, "time_before_item", "no header, the time in column 2 (Yoochoose)",
                   "refused with the option that settles it",
                   {{"interactions.csv", with_each_row("@,2014-04-0%T10:51:09.277Z,#", "")}},
                   {"is column 2", "--columns user=1,item=3,time=2"})};
}

Forms other_public_files() {
  constexpr auto kKind = FaultKind::kPublicFiles;
  const auto dates = [&](const std::string& name, const std::string& form, const std::string& before,
                         const std::string& behind) {
    return read_form(kKind, name, "times as `" + form + "`", "read, in their order",
                     {{"interactions.tsv", "user\titem\ttime\n" + rows_in_order("\t", before, behind)}});
  };
  const auto in_units = [](const std::string& late) {
    return "user,item,time\nu,c,1300000003" + late + "\nu,a,1300000001\nu,b,1300000002\nv,c,1300000003" + late +
           "\nv,a,1300000001\nv,b,1300000002\n";
  };
  const std::string review = R"({"user_id": "@", "parent_asin": "#", "timestamp": %000, "text": "good"})";
  return {
      dates("basic_iso", "20110313T070641Z", "20110313T07064", "Z"),
      dates("mail_of_the_east", "Sun, 13 Mar 2011 07:06:01 EST (New York)", "Sun, 13 Mar 2011 07:06:0",
            " EST (New York)"),
      dates("two_digits_of_a_year", "13-Mar-11 07:06:01", "13-Mar-11 07:06:0", ""),
      dates("date_of_javascript", "Sun Mar 13 2011 07:06:01 GMT+0100 (CET)", "Sun Mar 13 2011 07:06:0",
            " GMT+0100 (CET)"),
      refused_form(kKind, "two_units", "times in seconds and in milliseconds", "refused with a place of each",
                   {{"interactions.csv", in_units("000")}},
                   {"2 of 6 times are in milliseconds (interactions.csv:2: 1300000003000), the others in seconds"}),
      read_form(kKind, "one_time_for_all", "the same time everywhere", "read; that the file's order counts is noted",
                {{"interactions.csv",
                  "user,item,time\nu,a,1300000001\nu,b,1300000001\nu,c,1300000001\nv,a,1300000001\n"
                  "v,b,1300000001\nv,c,1300000001\n"}},
                {"all times are 1300000001"}),
      read_form(kKind, "folder_in_a_folder", "an unpacked archive: a folder with one folder in it", "read",
                {csv("userId,movieId,rating,timestamp", "@,#,&.5,%", "ml-25m/ratings.csv")}),
      refused_form(kKind, "several_folders", "a folder of folders", "refused, they are named",
                   {csv("user,item,time", "@,#,%", "train/a.csv"), csv("user,item,time", "@,#,%", "dev/a.csv")},
                   {"it holds nothing and the folders dev, train, of which one may be given"}),
      read_form(kKind, "names_in_capitals", "`RATINGS.CSV` and `MOVIES.CSV`", "read",
                {csv("userId,movieId,rating,timestamp", "@,#,&.5,%", "RATINGS.CSV"),
                 {"MOVIES.CSV", "movieId,title,genres\na,One more,x\nb,Two more,y\nc,Three more,z\n"}},
                {"6 texts of"}),
      refused_form(kKind, "an_archive_of_tar", "`data.tar.gz`", "refused; to unpack it is named",
                   {{"data.tar.gz", "x"}}, {"unpack data.tar.gz"}),
      read_form(kKind, "reviewed_again", "Amazon: a user reviews a product twice", "read, repeats are merged",
                {{"All_Beauty.jsonl", with_each_row(review, kEpoch) + with_each_row(review, "130000001")}},
                {"repeated interactions merged: 6"}),
      read_form(kKind, "files_nobody_reads", "a folder with more files than the layout has",
                "read; the others are named",
                {csv("userId,movieId,rating,timestamp", "@,#,&.5,%", "ratings.csv"), {"links.csv", "movieId\n1\n"}},
                {"not read: links.csv"}),
      read_form(kKind, "tags_without_users", "`tags.csv` without users beside `ratings.csv` (goodbooks)",
                "read; that it is not is noted",
                {csv("user_id,book_id,rating,timestamp", "@,#,&.5,%", "ratings.csv"),
                 {"tags.csv", "tag_id,tag_name\n1,red\n"}},
                {"not read: tags.csv"}),
      {kKind,
       "behaviors_with_a_header",
       "MIND with a header `impression_id`, `user_id`, ...",
       "read",
       raw_files({{"behaviors.tsv",
                   "impression_id\tuser_id\ttime\thistory\timpressions\n1\tu\t11/13/2019 8:00:00 AM\ta b\tc-1 "
                   "d-0\n2\tv\t11/13/2019 8:00:00 AM\ta b\tc-1 d-0\n"}}),
       {kPrepareForm},
       0,
       {"2 users, 3 items, 6 interactions"},
       "u c, v c"},
      {kKind,
       "ids_of_23_digits",
       "JSON: numbers of 23 digits as ids, which differ in the last",
       "read as they are",
       raw_files(
           {{"interactions.jsonl",
             "{\"user\": 12345678901234567890121, \"item\": 1}\n{\"user\": 12345678901234567890122, \"item\": 1}\n"
             "{\"user\": 12345678901234567890121, \"item\": -98765432109876543210}\n"}}),
       {kPrepareForm},
       0,
       {"2 users, 2 items, 3 interactions"}},
      read_form(kKind, "no_time_as_zero", "0 and -1 for times among seconds since 1970", "read, noted with a place",
                {{"interactions.csv",
                  "user,item,time\nu,c,1300000003\nu,a,0\nu,b,1300000002\nv,c,1300000003\n"
                  "v,a,-1\nv,b,1300000002\n"}},
                {"2 of 6 times are 0 or -1 (interactions.csv:3: 0)"})};
}

}  // namespace

Forms forms_of_other_tables() {
  Forms all = other_columns();
  for (Form& form : other_public_files()) all.push_back(std::move(form));
  return all;
}

Forms forms_of_other_texts() {
  constexpr auto kKind = FaultKind::kTexts;
  return {
      read_form(kKind, "utf8_among_others", "UTF-8 in a folder for which `--encoding latin-1` is said",
                "read as UTF-8, noted", {plain(), {"items.csv", "item,title\na,Caf\xC3\xA9 au lait\nb,x y\nc,z z\n"}},
                {"items.csv: is UTF-8, and read as such, not as latin-1", "3 texts of"}, "--encoding latin-1"),
      read_form(kKind, "blanks_around_ids", "blanks around ids in a file of texts", "joined, held-out texts stay out",
                {plain(), {"texts.csv", "user,item,text\nu , a,fine words\nu, c,SECRET\n v,b ,SECRET\n"}},
                {"1 texts of", "texts of held-out pairs left out: 2"}),
      read_form(kKind, "null_for_a_text", "`null` and `NaN` for a text in JSON", "no text, no bad row",
                {plain(),
                 {"texts.jsonl",
                  "{\"user\": \"u\", \"item\": \"a\", \"text\": null}\n{\"user\": \"v\", \"item\": \"a\", \"text\": "
                  "NaN}\n{\"user\": \"u\", \"item\": \"c\", \"text\": \"SECRET\"}\n"}},
                {"texts left out (empty, or not of this corpus): 2", "texts of held-out pairs left out: 1"}),
      read_form(kKind, "an_item_listed_twice", "an item that `items.csv` lists twice, in rows behind each other",
                "a bad row with file:line",
                {plain(), {"items.csv", "item,title\na,One more\na,Two more\nb,Three more\nc,Four more\n"}},
                {"items.csv:3: id 'a' is listed again"}, "--error-limit 0.2"),
      read_form(kKind, "backslashes", "`\"he said \\\"hi, you\\\" to me\"`, a backslash before quotes",
                "a bad row with file:line, the rows behind it are read",
                {plain(),
                 {"texts.csv", "user,item,text\nu,a,\"he said \\\"hi, you\\\" to me\"\nu,c,SECRET\nv,a,good thing\n"}},
                {"texts.csv:2: 4 columns instead of 3", "1 texts of", "texts of held-out pairs left out: 1"},
                "--error-limit 0.2"),
      read_form(kKind, "lines_in_quotes_of_tsv", "pandas' TSV: a text of several lines in quotes",
                "its tail is a bad row with file:line",
                {plain(), {"texts.tsv", "user\titem\ttext\nu\ta\t\"one\nmore\"\nu\tc\t\"SECRET\nSECRET\"\n"}},
                {"texts.tsv:3: 1 columns instead of 3", "1 texts of"}, "--error-limit 0.5"),
      read_form(kKind, "titles_of_reviews", "`title` and `text` of reviews",
                "both join, both of held-out pairs stay out",
                {plain(),
                 {"texts.csv", "user,item,title,text\nu,a,Great one,very nice\nu,c,SECRET one,SECRET\nv,a,x y,fine\n"}},
                {"4 texts of", "texts of held-out pairs left out: 2"})};
}

}  // namespace cllm::testing
