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
      refused_form(kKind, "list_of_items_as_text", "`\"['x', 'y']\"` for an item in CSV", "the same",
                   {{"interactions.csv", "user,item,time\n" + rows_in_order(",", kEpoch, "") + "u,\"['x', 'y']\",1\n"}},
                   {"interactions.csv:8: a list where one item is expected: '['x', 'y']'", "explode('item')"}),
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
           "u c, v c"}};
}

Forms forms_of_json_folders() {
  return {refused_form(FaultKind::kPublicFiles, "settings_beside_a_table", "`data.csv` beside `config.json`",
                       "refused; both are named, and `--input` with the larger",
                       {{"data.csv", "user,item\nu,a\n"}, {"config.json", "{\"batch\": 3}\n"}},
                       {"it holds config.json, data.csv", "name it: --input raw/data.csv"})};
}

Forms forms_of_repeated_texts() {
  constexpr auto kKind = FaultKind::kTexts;
  const std::string review = R"({"reviewerID": "@", "asin": "#", "unixReviewTime": %, "reviewText": "good & of #"})";
  return {
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
  for (const Forms& some :
       {forms_of_keys(), forms_of_split_files(), forms_of_json_folders(), forms_of_repeated_texts()})
    all.insert(all.end(), some.begin(), some.end());
  return all;
}

}  // namespace cllm::testing
