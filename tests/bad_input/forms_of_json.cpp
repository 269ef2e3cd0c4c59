// Forms of JSON keys, lists, parts of a split, and texts that are none or come twice.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

const std::string kRow = R"({"user_id": "@", "item_id": "#", "timestamp": %})";

std::string json_rows() { return with_each_row(kRow, kEpoch); }

/// Rows of users u and v by the pattern, then this line.
Files json_and(const std::string& last) { return {{"interactions.jsonl", json_rows() + last + "\n"}}; }

/// More rows than a file is understood by, then one with a text under a key of its own.
std::string late_key() {
  std::string rows;
  for (int n = 1; n <= 1000; ++n) rows += "{\"item\": \"a\", \"text\": \"thing " + std::to_string(n) + "\"}\n";
  return rows + "{\"item\": \"b\", \"text\": \"last thing\", \"blurb\": \"words\"}\n";
}

Forms forms_of_keys() {
  constexpr auto kKind = FaultKind::kColumns;
  return {
      refused_form(kKind, "list_of_items", "`\"item_id\": [\"x\", \"y\"]` in JSON", "refused; pandas' explode is named",
                   json_and(R"({"user_id": "u", "item_id": ["x", "y"], "timestamp": 1300000009})"),
                   {"interactions.jsonl:7: a list where one item is expected: 'x, y'", "explode('item_id')"}),
      refused_form(
          kKind, "lists_of_items_and_times", "`\"item_id\": [\"x\", \"y\"], \"timestamp\": [1, 2]` in JSON",
          "the same with both names",
          {{"interactions.jsonl", R"({"user_id": "u", "item_id": ["x", "y"], "timestamp": [1, 2], "tags": ["a"]})"}},
          {"with pandas: t.explode(['item_id', 'timestamp'])"}),
      refused_form(kKind, "list_of_items_as_text", "`\"['x', 'y']\"` for an item in CSV", "the same",
                   {{"interactions.csv", "user,item,time\n" + rows_in_order(",", kEpoch, "") + "u,\"['x', 'y']\",1\n"}},
                   {"interactions.csv:8: a list where one item is expected: '['x', 'y']'",
                    "t['item'].map(ast.literal_eval); t.explode('item')"}),
      read_form(
          kKind, "key_of_another_meaning", "`user_id` is null and `session_id` is there",
          "a bad row: one key is the user in all of a file; the others are noted",
          json_and(R"({"user_id": null, "session_id": "s", "item_id": "a", "timestamp": 1300000009})"),
          {"interactions.jsonl:7: no 'user' in the object (its key in this file: 'user_id')", "not used: session_id"},
          "--error-limit 0.2"),
      read_form(kKind, "key_without_values", "`user_id` is null in all rows, `session_id` is there",
                "`session_id` is the user",
                {{"interactions.jsonl",
                  with_each_row(R"({"user_id": null, "session_id": "@", "item_id": "#", "timestamp": %})", kEpoch)}},
                {"not used: user_id"}),
  };
}

Forms forms_of_nested_objects() {
  constexpr auto kKind = FaultKind::kColumns;
  const auto nested = [&](const std::string& name, const std::string& form, const std::string& content,
                          const std::string& what, const std::string& jq, const std::string& options = "") {
    return refused_form(kKind, name, form, "refused; the command of jq is named", {{"interactions.json", content}},
                        {what + "; write a row per pair: ", jq}, options);
  };
  const std::string owned = "{'user_id': 'u', 'items_count': 1, 'items': [{'item_id': 'a', 'hours': 6}]}\n";
  return {
      nested("items_of_a_user", "`'items': [{'item_id': 'a', ...}]` for each user (Steam of UCSD)", owned,
             "'items' holds a list of objects", "jq -c '.user_id as $u | .items[] | . + {user_id: $u}'"),
      nested("items_of_a_user_chosen", "the same with `--columns item=items`",
             "{'user_id': 'v', 'items': []}\n" + owned, "'items' holds a list of objects",
             "cat OLD | python3 -c 'import ast, json, sys; ", "--columns item=items"),
      nested("events_of_a_session", "`\"events\": [{\"aid\": 5, \"ts\": 1}]` for each session (OTTO)",
             "{\"session\": 1, \"events\": [{\"aid\": 5, \"ts\": 1, \"type\": \"clicks\"}]}\n",
             "'events' holds a list of objects",
             "jq -c '.session as $u | .events[] | . + {user_id: $u, item_id: .aid}' OLD > interactions.jsonl"),
      nested("objects_for_ids", "`{\"user\": {\"id\": 1}, \"item\": {\"id\": 5, \"name\": \"x\"}}`",
             "{\"user\": {\"id\": 1}, \"item\": {\"id\": 5, \"name\": \"x\"}, \"time\": 3}\n", "'item' holds an object",
             "jq -c '. + {user_id: .user.id, item_id: .item.id}' OLD"),
      nested("tracks_of_playlists", "`{\"playlists\": [{\"pid\": 1, \"tracks\": [{\"track_uri\": \"x\"}]}]}` (Spotify)",
             R"({"info": {"v": 1}, "playlists": [{"name": "n", "pid": 1, "tracks": [{"pos": 0, "track_uri": "x"}]}]})",
             "'playlists' holds a list of objects",
             "jq -c '.playlists[] | .pid as $u | .tracks[] | . + {user_id: $u, item_id: .track_uri}' OLD"),
      nested("columns_of_pandas",
             "`{\"user\": {\"0\": 1, \"1\": 2}, \"item\": {\"0\": 5, \"1\": 6}}` (pandas' to_json)",
             R"({"user": {"0": 1, "1": 2}, "item": {"0": 5, "1": 6}})",
             "'user' holds a whole column or table, as pandas' to_json writes it",
             "jq -c '. as $t | (.user | keys_unsorted[]) as $k | $t | map_values(.[$k])' OLD > interactions.jsonl, or"),
      nested("split_of_pandas", "`{\"columns\": [\"user\", \"item\"], \"data\": [[1, 5], [2, 6]]}` (pandas)",
             R"({"columns": ["user", "item"], "index": [0, 1], "data": [[1, 5], [2, 6]]})",
             "'data' holds a whole column or table, as pandas' to_json writes it",
             "jq -c '.columns as $c | .data[] | [$c, .] | transpose"),
  };
}

Forms forms_of_split_files() {
  constexpr auto kKind = FaultKind::kParts;
  const std::string with_parts =
      "user,item,time,split\nu,a,3,train\nu,b,2,val\nu,c,1,test\nv,a,3,train\nv,b,2,val\nv,c,1,test\n";
  return {refused_form(kKind, "folder_of_parts", "a folder of `train.jsonl`, `valid.jsonl` and `test.jsonl`",
                       "refused; `--split FILE` is named",
                       {{"train.jsonl", json_rows()}, {"valid.jsonl", json_rows()}, {"test.jsonl", json_rows()}},
                       {"raw: test.jsonl, train.jsonl, valid.jsonl: parts of a split", "--split FILE"}),
          refused_form(kKind, "folder_of_parts_of_amazon", "the same of Amazon's keys", "the same",
                       {{"Beauty.train.jsonl", "{\"reviewerID\": \"u\", \"asin\": \"a\"}\n"},
                        {"Beauty.test.jsonl", "{\"reviewerID\": \"u\", \"asin\": \"b\"}\n"}},
                       {"Beauty.test.jsonl, Beauty.train.jsonl: parts of a split"}),
          {kKind,
           "column_of_parts",
           "a column `split` of `train`, `val` and `test`",
           "noted: `--split FILE`",
           raw_files({{"interactions.csv", with_parts}}),
           {kPrepareForm},
           0,
           {"not used: split", "is 'split' the part (train, validation or test) of each row? --split FILE keeps it"},
           "u a, v a"},
          {kKind,
           "column_of_parts_kept",
           "the same with `--split` and the file itself",
           "kept",
           raw_files({{"interactions.csv", with_parts}}),
           {"prepare --input raw --output new --tokenizer corpus/tokenizer --split raw/interactions.csv"},
           0,
           {},
           "u c, v c"},
          {kKind,
           "names_of_parts",
           "`TRAIN`, `training`, `dev`, `Test` in a split file",
           "kept",
           raw_files({{"interactions.csv",
                       "user,item,split\nu,a,TRAIN\nu,b,dev\nu,c,Test\nv,a,training\nv,b,Valid\nv,c,test\n"}}),
           {"prepare --input raw --output new --tokenizer corpus/tokenizer --split raw/interactions.csv"},
           0,
           {"(2 train, 2 validation, 2 test)"},
           "u c, v c"}};
}

Form silent(Form form, std::vector<std::string> says_not) {
  form.says_not = std::move(says_not);
  return form;
}

Forms forms_of_json_folders() {
  constexpr auto kKind = FaultKind::kPublicFiles;
  return {
      refused_form(kKind, "settings_beside_a_table", "`data.csv` beside `config.json`",
                   "refused; both are named, and `--input` with the larger",
                   {{"data.csv", "user,item\nu,a\n"}, {"config.json", "{\"batch\": 3}\n"}},
                   {"it holds config.json, data.csv", "name it: --input raw/data.csv"}),
      refused_form(kKind, "smaller_than_what_it_tells_of", "`b.csv` of users, items and times beside larger files",
                   "refused; `--input` is named with the file of interactions",
                   {{"a.csv", "isbn,title\nx,A title that is long and even longer than all other rows\n"},
                    {"b.csv", "user,isbn,time\nu,x,1300000001\n"},
                    {"c.csv", "user,isbn,rating\nu,x,1\nu,y,2\nu,z,3\nv,x,4\n"}},
                   {"name it: --input raw/b.csv"}),
      silent(refused_form(kKind, "articles_beside_folders", "`articles.csv` beside folders `train` and `validation`",
                          "refused; the folders are named",
                          {{"articles.csv", "article_id,title\na,One\n"},
                           {"train/b.csv", "user,item\nu,a\n"},
                           {"validation/b.csv", "user,item\nu,a\n"}},
                          {"it holds articles.csv and the folders train, validation, of which one may be given"}),
             {"--input raw/articles.csv"}),
      silent(refused_form(kKind, "programs_beside_folders", "programs, settings and a `LICENSE` beside folders",
                          "refused; no program is to be renamed",
                          {{"load.py", "a,b = 1,2\n"},
                           {"LICENSE", "x\n"},
                           {"a.yaml", "a: 1\n"},
                           {"one/b.csv", "user,item\nu,a\n"},
                           {"two/b.csv", "user,item\nu,a\n"}},
                          {"the folders one, two"}),
             {"mv "}),
      {kKind,
       "a_stream",
       "`--input` with a pipe or a device",
       "refused: a file is needed",
       [] {},
       {"prepare --input /dev/null --output new --tokenizer corpus/tokenizer"},
       65,
       {"/dev/null: a stream", "write it into a file first"}}};
}

Forms forms_of_repeated_texts() {
  constexpr auto kKind = FaultKind::kTexts;
  const std::string genders = "user,gender,country\nu,M,US\nv,F,DE\n";
  const std::string review = R"({"reviewerID": "@", "asin": "#", "unixReviewTime": %, "reviewText": "good & of #"})";
  return {
      silent(read_form(kKind, "codes_are_no_texts", "`M`, `F`, `US`, `DE` of users", "not used, noted once",
                       {plain(), {"users.csv", genders}}, {"users.csv: not used: gender, country"}),
             {"rows with texts"}),
      read_form(kKind, "a_key_that_comes_late", "a key of texts that the first 1,000 lines of JSON do not have",
                "read, noted with its line and number", {plain(), {"texts.jsonl", late_key()}},
                {"1002 texts of", "texts.jsonl: texts of the kinds 'blurb' (first in line 1001, 1 rows)"}),
      read_form(kKind, "words_for_no_text", "`NaN`, `None` and `[]` for texts in CSV, `['good', 'cheap']`",
                "no texts; elements joined",
                {plain(),
                 {"items.csv", "item,title,tags\na,NaN,\"['good', 'cheap']\"\nb,None,[]\nc,three things,['fine']\n"}},
                {"3 texts of", "texts left out (empty, or not of this corpus): 3"}),
      read_form(
          kKind, "the_same_text_again", "`reviews_B.json` beside a copy of it, an item twice in `meta_B.json`",
          "once; counted and noted with a place",
          {{"reviews_B.json", with_each_row(review, kEpoch)},
           {"reviews_B_copy.json", with_each_row(review, kEpoch)},
           {"meta_B.json", "{\"asin\": \"a\", \"title\": \"A comb\"}\n{\"asin\": \"a\", \"title\": \"A comb\"}\n"}},
          {"3 texts of", "3 texts left out that were there already", "meta_B.json:2, ..."})};
}

}  // namespace

Forms forms_of_json() {
  Forms all;
  for (const Forms& some : {forms_of_keys(), forms_of_nested_objects(), forms_of_split_files(), forms_of_json_folders(),
                            forms_of_repeated_texts()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

}  // namespace cllm::testing
