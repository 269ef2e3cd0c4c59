#include "tests/bad_input/bad_input.h"

namespace cllm::testing {
namespace {

/// A tokenizer folder t/ with these files; prepare must refuse it.
BadInput tokenizer_row(const std::string& name, std::function<void()> damage, std::vector<std::string> message) {
  return {"tokenizer_" + name,
          [damage] {
            std::filesystem::copy("corpus/tokenizer", "t", std::filesystem::copy_options::recursive);
            damage();
          },
          "prepare --input raw --output new --tokenizer t", 65, std::move(message)};
}

/// The same with only vocab.json and merges.txt.
BadInput vocabulary_row(const std::string& name, std::function<void()> damage, std::vector<std::string> message) {
  return tokenizer_row(
      name,
      [damage] {
        remove("t/tokenizer.json");
        damage();
      },
      std::move(message));
}

}  // namespace

Rows bad_tokenizers() {
  const std::string byte_level = R"("pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false})";
  const auto json = [](const std::string& text) { return [text] { write("t/tokenizer.json", text); }; };
  return {
      {"tokenizer_no_folder", nothing, "prepare --input raw --output new --tokenizer nowhere", 65, {"nowhere"}},
      tokenizer_row("no_json",
                    [] {
                      remove("t");
                      std::filesystem::create_directory("t");
                    },
                    {"t: no tokenizer.json", "vocab.json"}),
      vocabulary_row("no_merges", [] { remove("t/merges.txt"); }, {"merges.txt"}),
      tokenizer_row("empty_json", json(""), {"tokenizer.json: not JSON at byte 1"}),
      tokenizer_row("list_for_object", json("[]"), {"tokenizer.json: not a tokenizer"}),
      tokenizer_row("no_model", json("{" + byte_level + "}"), {"tokenizer.json: not a tokenizer", "model"}),
      tokenizer_row("word_level", json(R"({"model": {"type": "WordLevel"}})"),
                    {"tokenizer.json: model: type is 'WordLevel'", "known are BPE, Unigram, WordPiece"}),
      tokenizer_row("wordpiece_without_words", json(R"({"model": {"type": "WordPiece"}})"),
                    {"tokenizer.json: not a tokenizer", "vocab"}),
      tokenizer_row("wordpiece_without_unknown", json(R"({"model": {"type": "WordPiece", "vocab": {"a": 0}}})"),
                    {"unk_token is not set"}),
      tokenizer_row("unknown_normalizer",
                    json(R"({"normalizer": {"type": "Nmt"}, "model": {"vocab": {}, "merges": []}})"),
                    {"normalizer: type is 'Nmt'", "known are"}),
      tokenizer_row("unknown_pre_tokenizer",
                    json(R"({"pre_tokenizer": {"type": "Magic"}, "model": {"vocab": {}, "merges": []}})"),
                    {"pre_tokenizer: type is 'Magic'", "known are"}),
      tokenizer_row("bad_pattern",
                    json(R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"},)"
                         R"( "model": {"vocab": {}, "merges": []}})"),
                    {"pattern '(a'", "parenthesis"}),
      tokenizer_row("charsmap_cut",
                    json(R"({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAEAAAAA"},)"
                         R"( "model": {"vocab": {}, "merges": []}})"),
                    {"precompiled_charsmap has 6 bytes"}),
      tokenizer_row("unigram_unknown", json(R"({"model": {"type": "Unigram", "unk_id": 4, "vocab": [["a", -1]]}})"),
                    {"unk_id is 4 of 1 pieces"}),
      tokenizer_row("bytes_missing", json("{" + byte_level + R"(, "model": {"vocab": {"a": 0}, "merges": []}})"),
                    {"tokenizer.json", "is not in the vocabulary"}),
      tokenizer_row("merge_not_a_pair",
                    json("{" + byte_level + R"(, "model": {"vocab": {"a": 0}, "merges": [["a"]]}})"),
                    {"merge 1", "is not a pair"}),
      tokenizer_row("merge_is_number", json("{" + byte_level + R"(, "model": {"vocab": {"a": 0}, "merges": [7]}})"),
                    {"merge 1", "7"}),
      tokenizer_row("merge_unknown", [] { replace("t/tokenizer.json", "\"merges\": [", "\"merges\": [\"qqq zzz\", "); },
                    {"tokenizer.json", "qqq"}),
      tokenizer_row("added_token_without_id", [] { replace("t/tokenizer.json", "\"id\": 279,", ""); },
                    {"tokenizer.json", "id"}),
      tokenizer_row("nested_deeply",
                    json("{\"model\": {\"vocab\": {\"a\": " + std::string(300000, '[') + std::string(300000, ']') +
                         "}, \"merges\": []}, " + byte_level + "}"),
                    {"tokenizer.json"}),
      vocabulary_row("vocabulary_list", [] { write("t/vocab.json", "[1]"); }, {"vocab.json", "not an object"}),
      vocabulary_row("vocabulary_cut", [] { truncate("t/vocab.json", 500); }, {"vocab.json: not JSON at byte"}),
      vocabulary_row("id_out_of_range", [] { replace("t/vocab.json", "\"!\":0", "\"!\":100000"); },
                     {"vocab.json", "'!'", "100000", "ids must be 0 .. 279"}),
      vocabulary_row("id_negative", [] { replace("t/vocab.json", "\"!\":0", "\"!\":-1"); }, {"'!'", "-1"}),
      vocabulary_row("id_twice", [] { replace("t/vocab.json", "\"!\":0", "\"!\":1"); },
                     {"has the id 1 of another token"}),
      vocabulary_row("merge_of_three", [] { write("t/merges.txt", "#version: 0.2\na b c\n"); },
                     {"merges.txt:2", "'a b c' is not two symbols"}),
      vocabulary_row("merge_twice",
                     [] { write("t/merges.txt", read("t/merges.txt") + read("t/merges.txt").substr(14)); },
                     {"merge", "twice"}),
      {"tokenizer_of_other_size",
       [] { replace("backbone/config.json", "\"vocab_size\": 280", "\"vocab_size\": 5000"); },
       "train --run.dir=new --run.corpus=corpus --run.backbone=backbone",
       64,
       {"has 5000 words", "with 280", "--tokenizer"}},
  };
}

}  // namespace cllm::testing
