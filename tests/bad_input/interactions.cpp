#include "tests/bad_input/bad_input.h"

namespace cllm::testing {
namespace {

const std::string kPrepare = "prepare --input raw --output new --train-tokenizer 280 ";

/// A folder raw/ of only these files.
BadInput folder_row(const std::string& name, std::vector<std::pair<std::string, std::string>> files,
                    std::vector<std::string> message, const std::string& options = "") {
  return {"interactions_" + name,
          [files] {
            remove("raw");
            std::filesystem::create_directory("raw");
            for (const auto& [file, text] : files) write("raw/" + file, text);
          },
          kPrepare + options, 65, std::move(message)};
}

}  // namespace

Rows bad_interactions() {
  const std::string good = "u\ta\nu\tb\nu\tc\nv\ta\n", items = "a\tred\nb\tgreen\nc\tblue\n", long_id(1025, 'x');
  return {
      {"interactions_no_folder",
       nothing,
       "prepare --input nowhere --output new --train-tokenizer 280",
       65,
       {"nowhere: no such folder"}},
      {"interactions_output_exists",
       nothing,
       "prepare --input raw --output corpus --train-tokenizer 280",
       65,
       {"corpus", "exists", "overwriting"}},
      {"interactions_output_below_a_file",
       [] { write("taken", "x"); },
       "prepare --input raw --output taken/corpus --train-tokenizer 280",
       65,
       {"taken"}},
      folder_row("no_files", {}, {"raw: no input found", "interactions.tsv"}),
      folder_row("other_files_only", {{"readme.md", "hello"}}, {"no input found"}),
      folder_row("other_format_asked", {{"interactions.tsv", good}}, {"no input found", "only the format given"}, "--format csv"),
      folder_row("two_candidates", {{"interactions.tsv", good}, {"interactions.csv", "u,a\n"}},
                 {"interactions.tsv and interactions.csv", "remove one"}),
      folder_row("empty_file", {{"interactions.tsv", ""}, {"items.tsv", items}}, {"interaction"}),
      folder_row("header_only", {{"interactions.tsv", "user\titem\n"}, {"items.tsv", items}}, {"interaction"}),
      folder_row("one_column", {{"interactions.tsv", "u\nv\n"}, {"items.tsv", items}},
                 {"interactions.tsv:1: 1 columns", "'user'"}),
      folder_row("many_columns_no_header", {{"interactions.tsv", "u\ta\t1\t2\t3\n"}, {"items.tsv", items}},
                 {"interactions.tsv:1: 5 columns"}),
      folder_row("ragged", {{"interactions.tsv", "u\ta\nu\nv\ta\tb\tc\n"}, {"items.tsv", items}},
                 {"2 x wrong column count", "interactions.tsv:2: 1 columns instead of 2"}),
      folder_row("bad_utf8", {{"interactions.tsv", "u\ta\n\xFF\xFE\tb\n"}, {"items.tsv", items}},
                 {"not UTF-8", "interactions.tsv:2", "\\xFF"}),
      folder_row("null_bytes", {{"interactions.tsv", std::string("u\ta\n\0\tb\n", 8)}, {"items.tsv", items}},
                 {"not UTF-8", "interactions.tsv:2"}),
      folder_row("utf16", {{"interactions.tsv", std::string("\xFF\xFEu\0\t\0a\0\n\0", 10)}, {"items.tsv", items}},
                 {"interactions.tsv"}),
      folder_row("empty_id", {{"interactions.tsv", "u\ta\n\tb\n"}}, {"empty or overlong id", "interactions.tsv:2"}),
      folder_row("long_id", {{"interactions.tsv", "u\ta\n" + long_id + "\tb\n"}}, {"empty or overlong id", "interactions.tsv:2"}),
      folder_row("bad_time", {{"interactions.tsv", "u\ta\tyesterday\n"}, {"items.tsv", items}},
                 {"bad number", "interactions.tsv:1", "'yesterday'"}),
      folder_row("impossible_date", {{"interactions.tsv", "u\ta\t2019-02-30\n"}, {"items.tsv", items}},
                 {"bad number", "'2019-02-30'"}),
      folder_row("bad_rating", {{"interactions.tsv", "u\ta\t1\tgood\n"}, {"items.tsv", items}}, {"bad number", "rating 'good'"}),
      folder_row("infinite_rating", {{"interactions.tsv", "u\ta\t1\tinf\n"}, {"items.tsv", items}}, {"rating 'inf'"}),
      folder_row("no_rating_for_threshold", {{"interactions.tsv", good}, {"items.tsv", items}},
                 {"no rating, but a rating threshold"}, "--rating-threshold 3"),
      folder_row("threshold_removes_all", {{"interactions.tsv", "u\ta\t1\t1\nv\tb\t1\t2\n"}, {"items.tsv", items}},
                 {"interaction", "threshold"}, "--rating-threshold 9"),
      folder_row("k_core_removes_all", {{"interactions.tsv", good}, {"items.tsv", items}}, {"k-core"}, "--k-core 50"),
      folder_row("duplicates", {{"interactions.tsv", "u\ta\nu\ta\n"}, {"items.tsv", items}},
                 {"duplicate", "interactions.tsv:2", "first at interactions.tsv:1", "merge duplicates"}),
      folder_row("unknown_user", {{"interactions.tsv", good}, {"users.tsv", "u\tx y\n"}, {"items.tsv", items}},
                 {"unknown id", "user 'v' is not in the users file"}),
      folder_row("unknown_item", {{"interactions.tsv", good}, {"items.tsv", "a\tx\n"}},
                 {"unknown id", "item 'b' is not in the items file"}),
      folder_row("user_listed_twice", {{"interactions.tsv", good}, {"users.tsv", "u\tx y\nv\tz\nu\tx\n"}, {"items.tsv", items}},
                 {"users.tsv:3", "'u' is listed again"}),
      folder_row("no_texts", {{"interactions.tsv", good}}, {"text", "tokenizer"}),
      folder_row("csv_open_quote", {{"interactions.csv", "user,item\n\"u,a\nv,b\n"}},
                 {"interactions.csv:2: a quote is never closed"}),
      folder_row("csv_ragged", {{"interactions.csv", "user,item\nu\n"}}, {"interactions.csv:2: 1 columns instead of 2"}),
      folder_row("csv_header_without_item", {{"interactions.csv", "user,product,time,x,y\nu,a,1,2,3\n"}},
                 {"interactions.csv:1", "no header"}),
      folder_row("json_not_an_object", {{"interactions.jsonl", "[1, 2]\n"}}, {"not a JSON object", "interactions.jsonl:1"}),
      folder_row("json_broken", {{"interactions.jsonl", "{\"user\": \"u\", \n"}}, {"not a JSON object", "interactions.jsonl:1"}),
      folder_row("json_without_item", {{"interactions.jsonl", "{\"user\": \"u\"}\n"}},
                 {"no 'item' in the object", "interactions.jsonl:1"}),
      folder_row("json_nested_deeply",
                 {{"interactions.jsonl", "{\"user\": " + std::string(200000, '[') + std::string(200000, ']') + "}\n"}},
                 {"interactions.jsonl:1"}),
      folder_row("gzip_cut", {{"interactions.tsv.gz", std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03+\xe1", 12)}},
                 {"interactions.tsv.gz", "truncated"}),
      folder_row("gzip_damaged",
                 {{"interactions.tsv.gz", std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xFF\xFF\xFF\xFF\x00\x01", 16)}},
                 {"interactions.tsv.gz: cannot read"}),
      folder_row("movielens_ratings", {{"ratings.csv", "userId,movieId,rating,timestamp\n1,2,many,3\n"}},
                 {"ratings.csv:2", "rating 'many'"}),
      folder_row("movielens_columns", {{"ratings.csv", "a,b,c,d,e\n"}}, {"ratings.csv:1: 5 columns", "'userId'"}),
      folder_row("amazon_line", {{"reviews.json", "{'reviewerID': \n"}}, {"reviews.json:1"}, "--format amazon"),
      folder_row("yelp_date", {{"x_review.json", "{\"user_id\":\"u\",\"business_id\":\"b\",\"date\":\"July\"}\n"}},
                 {"x_review.json:1", "'July'"}, "--format yelp"),
      {"interactions_split_missing", nothing, kPrepare + "--split nowhere.tsv", 64, {"--split nowhere.tsv: no such file"}},
      {"interactions_split_is_misspelt", nothing, kPrepare + "--split leave-one-out", 64, {"leave-one-out", "leave-last-out"}},
      folder_row("split_unknown_part", {{"interactions.tsv", good}, {"items.tsv", items}, {"split.tsv", "u\ta\ttraining\n"}},
                 {"split.tsv:1", "'training'", "train, val or test"}, "--split raw/split.tsv"),
      folder_row("split_misses_pairs", {{"interactions.tsv", good}, {"items.tsv", items}, {"split.tsv", "u\ta\ttrain\n"}},
                 {"not in the split file"}, "--split raw/split.tsv"),
      folder_row("split_of_unknown_pair",
                 {{"interactions.tsv", "u\ta\n"}, {"items.tsv", items}, {"split.tsv", "u\ta\ttrain\nu\tb\ttest\n"}},
                 {"in the split file only", "split.tsv:2"}, "--split raw/split.tsv"),
      {"interactions_texts_file_missing", nothing, kPrepare + "--texts nowhere.tsv", 65, {"nowhere.tsv"}},
      {"interactions_texts_of_other_kind",
       [] { write("t.xml", "<a/>"); },
       kPrepare + "--texts t.xml",
       65,
       {"t.xml", ".tsv, .csv, .jsonl"}},
      {"interactions_file_is_a_folder",
       [] {
         remove("raw/interactions.tsv");
         std::filesystem::create_directory("raw/interactions.tsv");
       },
       kPrepare,
       65,
       {"interactions.tsv"}},
  };
}

}  // namespace cllm::testing
