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
      list("lists_of_numpy", "`[105 119 103]` for an item", "interactions.csv",
           "user,item,time\nu,[105 119 103],1\nv,[101 115],2\n", "[105 119 103]", "t.explode('item')"),
      list("lists_in_json", "`\"item\": \"105|119\"` in JSON", "interactions.jsonl",
           "{\"user\": 1, \"item\": \"105|119\"}\n{\"user\": 2, \"item\": \"101|119|7\"}\n", "105|119",
           ".str.split('|')"),
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

}  // namespace

Forms forms_of_fields() {
  Forms all = forms_of_lists();
  for (const Forms& forms : {forms_of_other_rows(), forms_of_separators()})
    all.insert(all.end(), forms.begin(), forms.end());
  return all;
}

}  // namespace cllm::testing
