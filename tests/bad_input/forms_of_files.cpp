// Forms of raw files: columns, public files and literals, texts.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {

Form read_form(FaultKind kind, const std::string& name, const std::string& form, const std::string& right, Files files,
               std::vector<std::string> says, const std::string& options) {
  says.emplace_back("2 users, 3 items, 6 interactions (2 train, 2 validation, 2 test)");
  return {kind,      name, form, right, raw_files(std::move(files)), {kPrepareForm + options}, 0, std::move(says),
          "u c, v c"};
}

Form refused_form(FaultKind kind, const std::string& name, const std::string& form, const std::string& right,
                  Files files, std::vector<std::string> says, const std::string& options) {
  return {kind, name, form, right, raw_files(std::move(files)), {kPrepareForm + options}, 65, std::move(says)};
}

Form shown(Form form) {
  form.in_readme = true;
  return form;
}

std::pair<std::string, std::string> plain() {
  return {"interactions.tsv", "user\titem\ttime\n" + rows_in_order("\t", kEpoch, "")};
}

std::string with_each_row(const std::string& row, const std::string& times_before) {
  std::string out;
  for (const char user : {'u', 'v'}) {
    for (const auto& [item, digit] : {std::pair{'c', '3'}, {'a', '1'}, {'b', '2'}}) {
      for (const char c : row) {
        if (c == '%') out += times_before;
        out += c == '@' ? user : c == '#' ? item : c == '%' || c == '&' ? digit : c;
      }
      out += "\n";
    }
  }
  return out;
}

Forms forms_of_columns() {
  constexpr auto kKind = FaultKind::kColumns;
  return {
      shown(read_form(kKind, "semicolons", "`UserID;MovieID;Time` by an Excel of another country",
                      "read, the separator is noted",
                      {{"interactions.csv", "UserID;MovieID;Time\n" + rows_in_order(";", kEpoch, "")}},
                      {"fields are separated by ';'"})),
      read_form(kKind, "quoted_header_with_bom", "a BOM, then names in quotes", "read",
                {{"interactions.csv", "\xEF\xBB\xBF\"user\",\"item\",\"time\"\n" + rows_in_order(",", kEpoch, "")}}),
      read_form(
          kKind, "recbole_types_in_csv", "`user_id:token,item_id:token,timestamp:float`", "read",
          {{"interactions.csv", "user_id:token,item_id:token,timestamp:float\n" + rows_in_order(",", kEpoch, "")}}),
      read_form(
          kKind, "json_keys_of_amazon", "keys `reviewerID`, `asin`, `unixReviewTime`", "read",
          {{"interactions.jsonl", with_each_row(R"({"reviewerID": "@", "asin": "#", "unixReviewTime": %})", kEpoch)}}),
      shown(read_form(
          kKind, "time_before_rating_without_header", "no header, the time in column 3 and a rating in column 4",
          "told by the values, the reading is printed", {{"interactions.csv", with_each_row("@,#,%,&.5", kEpoch)}},
          {"read as user, item, time, rating"})),
      shown(read_form(kKind, "names_of_ones_own", "`visitor,thing,when`",
                      "read by `--columns user=visitor,item=thing,time=when`",
                      {{"interactions.csv", "visitor,thing,when\n" + rows_in_order(",", kEpoch, "")}}, {},
                      "--columns user=visitor,item=thing,time=when")),
      shown(refused_form(kKind, "names_nobody_knows", "`who,product,when`, no option",
                         "refused: which column is missing, what is there",
                         {{"interactions.csv", "who,product,when\n" + rows_in_order(",", kEpoch, "")}},
                         {"interactions.csv:1: header without a column 'user'", "(it has who, product, when)",
                          "--columns user=NAME"})),
      refused_form(
          kKind, "numbers_that_may_be_two_things", "no header, `1`, `2`, `1` in column 3",
          "refused with the option that settles it",
          {{"interactions.csv", "u,a,1\nu,b,2\nv,a,1\n"}, {"items.csv", "item,text\na,x\nb,y\n"}},
          {"is column 3", "--columns user=1,item=2 (leaves column 3 out), or the same with ,time=3 or ,rating=3"}),
      read_form(
          kKind, "days_of_purchases", "`t_dat,customer_id,article_id,price` (H&M)", "read, the day is the time",
          {{"interactions.csv", "t_dat,customer_id,article_id,price\n" + with_each_row("2018-09-0&,@,#,0.05", "")}}),
      read_form(kKind, "sessions", "`session_id;item_id;eventdate` (Diginetica)", "read, a session is a user",
                {{"interactions.csv", "session_id;item_id;eventdate\n" + with_each_row("@;#;2016-05-0&", "")}}),
      read_form(kKind, "names_in_a_comment", "`# item_id,user_id,timestamp` above the rows (numpy)",
                "read by its names",
                {{"interactions.csv", "# of 2018\n# item_id,user_id,timestamp\n" + with_each_row("#,@,%", kEpoch)}},
                {"1 line(s) of comments"}),
      refused_form(kKind, "names_over_words", "`prod_id,cust_id` above ids of letters and digits",
                   "refused; the option for names and that for a row are named",
                   {{"interactions.csv", "prod_id,cust_id\nP0,C0\nP1,C0\nP0,C1\n"}},
                   {"interactions.csv:1: no header that names 'user' and 'item'", "--columns user=prod_id,item=cust_id",
                    "--columns user=1,item=2"}),
      refused_form(kKind, "names_over_sentences", "items of `product,words` above sentences", "refused as a header",
                   {plain(), {"items.csv", "product,words\na,A red thing\nb,A blue thing\n"}},
                   {"items.csv:1: header without a column 'item' (it has product, words)", "a header above it"}),
      read_form(kKind, "numbers_over_words", "ids of words alone with `--columns user=1,item=2,time=3`",
                "read, the first row is a row", {{"interactions.csv", with_each_row("@,#,%", kEpoch)}}, {},
                "--columns user=1,item=2,time=3"),
      refused_form(kKind, "one_column_twice", "no header, `--columns user=2`", "refused: item is column 2, too",
                   {{"interactions.csv", "10,1\n11,2\n12,3\n"}},
                   {"column 2 would be the user and the item", "user=2,item="}, "--columns user=2"),
      read_form(kKind, "ids_before_names", "`user,user_id,item,item_id,time`, names beside ids", "the ids are read",
                {{"interactions.csv", "user,user_id,item,item_id,time\n" + with_each_row("John,@,Thing,#,%", kEpoch)}},
                {"not used: user, item"}),
      read_form(
          kKind, "parts_of_a_date", "`day month year` beside ids (HetRec)", "parts of a date are no time",
          {{"interactions.csv", "user,item,day,month,year,timestamp\n" + with_each_row("@,#,1,2,2010,%", kEpoch)}},
          {"not used: day, month, year"}),
      refused_form(kKind, "words_for_nothing", "`<NA>`, `#N/A`, `(null)`, `undefined` where an id belongs",
                   "bad rows with file:line",
                   {{"interactions.csv", "user,item,time\n<NA>,a,1\n#N/A,a,2\n(null),a,3\nundefined,a,4\nu,b,5\n"}},
                   {"interactions.csv:2", "4 of 5"}),
      read_form(kKind, "numbers_of_columns", "no header, item before user", "read by `--columns user=2,item=1,time=3`",
                {{"interactions.csv", with_each_row("#,@,%", kEpoch)}}, {}, "--columns user=2,item=1,time=3"),
      read_form(kKind, "header_of_a_joined_file", "two files joined, the header stands in the middle again",
                "a bad row",
                {{"interactions.tsv", "user\titem\ttime\n" + rows_in_order("\t", kEpoch, "") + "user\titem\ttime\n"}},
                {"interactions.tsv:8: the header again"}, "--error-limit 0.2")};
}

Forms forms_of_public_files() {
  constexpr auto kKind = FaultKind::kPublicFiles;
  const auto dates = [&](const std::string& name, const std::string& form, const std::string& before,
                         const std::string& behind) {
    return read_form(kKind, name, "times as `" + form + "`", "read, in their order",
                     {{"interactions.tsv", "user\titem\ttime\n" + rows_in_order("\t", before, behind)}});
  };
  const auto literal = [&](const std::string& name, const std::string& form, const std::string& row) {
    return read_form(kKind, name, form, "read", {{"interactions.jsonl", with_each_row(row, kEpoch)}});
  };
  return {
      dates("date_of_twitter", "Mon Mar 14 10:00:01 -0800 2011", "Mon Mar 14 10:00:0", " -0800 2011"),
      dates("milliseconds", "1300000000001", "130000000000", ""),
      dates("offset_and_fraction", "2011-03-13T07:06:40.001+05:30", "2011-03-13T07:06:40.00", "+05:30"),
      dates("date_of_a_mail", "Sun, 13 Mar 2011 07:06:01 GMT", "Sun, 13 Mar 2011 07:06:0", " GMT"),
      literal("python_literals", "Python: `{u'user': u'u', 'item': 'a', 'time': 1300000001, 'x': None, 'y': True}`",
              R"({u'user': u'@', 'item': '#', 'time': %, 'x': None, 'y': True})"),
      literal("extended_json", "`{\"time\": {\"$numberLong\": \"1300000001\"}}` of MongoDB",
              R"({"user": {"$oid": "@"}, "item": "#", "time": {"$numberLong": "%"}})"),
      literal("nan_in_json", "`NaN` for a rating in JSON", R"({"user": "@", "item": "#", "time": %, "rating": NaN})"),
      shown(refused_form(kKind, "day_before_month", "times as `13/03/2011`", "refused with the forms that are read",
                         {{"interactions.csv", "user,item,time\nu,a,13/03/2011\n"}},
                         {"time '13/03/2011' is no number or date; read are 1531001351"})),
      refused_form(kKind, "nothing_that_is_known", "a folder of other files", "refused with what was seen there",
                   {{"a.csv", "x"}, {"b.csv", "y"}}, {"it holds a.csv, b.csv; expected"})};
}

Forms forms_of_texts() {
  constexpr auto kKind = FaultKind::kTexts;
  const auto pair_texts = [](const std::string& first) {  // c is held out for the test, b for the validation
    return "user,item,text\nu,a," + first + "\nu,c,SECRET one\nv,a,fine thing\nv,b,SECRET two\n";
  };
  return {
      shown(read_form(kKind, "inches", "`a 10\" screen` in a CSV", "a character; no text is lost",
                      {plain(), {"texts.csv", pair_texts("a 10\" screen")}},
                      {"2 texts of", "texts of held-out pairs left out: 2"})),
      shown(read_form(kKind, "quote_never_closed", "`\"open` in a CSV",
                      "one bad row with file:line, the rows behind it are read",
                      {plain(), {"texts.csv", pair_texts("\"open")}},
                      {"texts.csv:2: a quote is never closed", "1 texts of", "texts of held-out pairs left out: 2"},
                      "--error-limit 0.5")),
      read_form(kKind, "quote_closed_rows_later", "a quote that closes three rows later",
                "one bad row, no held-out text is trained on",
                {plain(), {"texts.csv", "user,item,text\nu,a,\"open\nu,c,SECRET\nv,b,\"SECRET\"\nv,a,fine\n"}},
                {"1 texts of"}, "--error-limit 0.5"),
      read_form(kKind, "quotes_in_tsv", "a field in quotes in a TSV", "quotes are characters, noted once",
                {plain(), {"texts.tsv", "user\titem\ttext\nu\ta\t\"fine\nu\tc\tSECRET\nv\ta\t\"fine\"\n"}},
                {"texts.tsv:2: a field begins with a quote", "2 texts of"}),
      shown(read_form(
          kKind, "several_text_columns", "`item,title,description`", "kinds of texts by these names, noted",
          {plain(), {"items.csv", "item,title,description\na,one thing,nice to have\nb,two,good\nc,three,fine\n"}},
          {"texts of the kinds title, description", "6 texts of"})),
      read_form(kKind, "biographies_without_blanks", "biographies in Chinese", "texts",
                {plain(),
                 {"users.tsv", "u\t\xE5\x96\x9C\xE6\xAC\xA2\xE8\xAF\xBB\xE4\xB9\xA6\nv\t\xE5\x96\x9C\xE6\xAC\xA2\n"}},
                {"2 texts of"}),
      refused_form(kKind, "latin_1", "`Caf\xC3\xA9` in Latin-1", "refused; `--encoding windows-1252` is named",
                   {plain(), {"items.tsv", "a\tCaf\xE9\nb\tx\nc\ty\n"}},
                   {"items.tsv:1: not UTF-8", "--encoding windows-1252"}),
      read_form(kKind, "latin_1_with_its_name", "the same with `--encoding latin-1`", "read",
                {plain(), {"items.tsv", "a\tCaf\xE9 w\nb\tx y\nc\ty z\n"}}, {"3 texts of"}, "--encoding latin-1"),
      shown(read_form(kKind, "ids_of_another_system", "texts whose ids no interaction has",
                      "a note with the share and an example",
                      {plain(), {"texts.tsv", "user\titem\ttext\n007\t008\tfine\n009\t001\tgood\nu\ta\tfine\n"}},
                      {"texts.tsv: 1 of 3 texts joined the corpus", "texts.tsv:2, user '007'"})),
      refused_form(kKind, "copies_across_the_cut", "a held-out review again under another pair",
                   "found by the audit; `--strict` refuses",
                   {plain(),
                    {"texts.csv",
                     "user,item,text\nu,a,one two three four five six seven eight nine ten eleven twelve thirteen "
                     "fourteen fifteen sixteen seventeen eighteen nineteen twenty again and again until all is said\n"
                     "u,c,one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
                     "sixteen seventeen eighteen nineteen twenty again and again until all is said\n"}},
                   {"held-out data are in the texts that are trained on: 1 texts that repeat"}, "--strict")};
}

}  // namespace cllm::testing
