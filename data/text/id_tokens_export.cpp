// The tokenizer of an exported model. transformers has no such rule as METHOD.md §2, but for GPT-2's own kind the same
// ids come out of this chain: ID words are ordinary vocabulary entries, blanks before them and at the end are removed,
// ID words are cut out whole, and ignore_merges lets a word that is in the vocabulary be its own token. (Added tokens
// would match user_1 inside user_12345 when 12345 is out of range, and load slowly for many users.) Other kinds have
// other pre-tokenizers and normalizers around their words: there ID words are added tokens that take blanks before them
// along.

#include "data/text/characters/word_split.h"
#include "data/text/hugging_face.h"
#include "data/text/id_tokens.h"
#include "data/text/tokenizers/tokenizer_json.h"

namespace cllm {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr char kIdWord[] = "(?:user|item)_[0-9]+";

ordered_json split(const std::string& pattern, const char* behaviour) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", behaviour}, {"invert", false}};
}

ordered_json pre_tokenizer() {
  const std::string id = kIdWord, blanks = "[\\s\\x1c-\\x1f]+";  // as str.rstrip
  const ordered_json bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  return {{"type", "Sequence"},
          {"pretokenizers",
           {split(blanks + "(?=" + id + ")|" + blanks + "\\z", "Removed"), split(id, "Isolated"),
            split(id + "|" + kGpt2Words, "Isolated"), bytes}}};
}

/// Calls use(word, token) for each ID token.
template <typename Use>
void for_each_id_word(const Vocabulary& vocabulary, Use&& use) {
  for (int64_t i = 0; i < vocabulary.num_users; ++i) use("user_" + std::to_string(i), vocabulary.user_token(i));
  for (int64_t j = 0; j < vocabulary.num_items; ++j) use("item_" + std::to_string(j), vocabulary.item_token(j));
}

std::string with_id_words(const TokenizerParts& parts, const Vocabulary& vocabulary) {
  ordered_json file = gpt2_json(parts);
  file["pre_tokenizer"] = pre_tokenizer();
  file["model"]["ignore_merges"] = true;
  auto& entries = file["model"]["vocab"].get_ref<ordered_json::object_t&>();
  for_each_id_word(vocabulary, [&](std::string word, int32_t token) { entries.emplace_back(std::move(word), token); });
  return file.dump(1);
}

/// A dummy prefix that every fragment between added tokens gets (Prepend; Metaspace, scheme "always") becomes one that
/// only the first gets (scheme "first"): what is text behind an ID token has none.
void prefix_first_alone(json& file) {
  if (json& split = file["pre_tokenizer"]; split.is_object() && split["type"] == "Metaspace") {
    if (split.value("prepend_scheme", "always") == "always") split["prepend_scheme"] = "first";
    return;
  }
  json& normalizer = file["normalizer"];
  if (!normalizer.is_object()) return;
  json all = normalizer["type"] == "Sequence" ? normalizer["normalizers"] : json::array({normalizer});
  const auto prepend = std::find_if(all.begin(), all.end(), [](const json& n) { return n["type"] == "Prepend"; });
  if (prepend == all.end()) return;
  const json first = {
      {"type", "Metaspace"}, {"replacement", (*prepend)["prepend"]}, {"prepend_scheme", "first"}, {"split", false}};
  all.erase(prepend);
  normalizer = {{"type", "Sequence"}, {"normalizers", all}};
  json& split = file["pre_tokenizer"];
  split = split.is_null() ? first : json{{"type", "Sequence"}, {"pretokenizers", {first, split}}};
}

std::string with_added_tokens(const TokenizerParts& parts, const Vocabulary& vocabulary) {
  json file = json::parse(parts.file);
  prefix_first_alone(file);
  json& added = file["added_tokens"];
  if (!added.is_array()) added = json::array();
  // A token that stands behind the tokenizer's own, where the backbone has rows that no word uses.
  for (int64_t id = static_cast<int64_t>(parts.tokens.size()); id < vocabulary.num_words; ++id)
    added.push_back({{"id", id},
                     {"content", "<unused_row_" + std::to_string(id) + ">"},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  for_each_id_word(vocabulary, [&](const std::string& word, int32_t token) {
    added.push_back({{"id", token},
                     {"content", word},
                     {"single_word", false},
                     {"lstrip", true},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", false}});
  });
  return file.dump(1);
}

/// The class named by the model type (GPT2Tokenizer) would build its chain anew; this one takes tokenizer.json as it
/// is.
json configuration(const TokenizerParts& parts) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  const auto name = [&](int32_t id) { return parts.tokens[static_cast<size_t>(id)]; };
  if (parts.file.empty() && !parts.added.tokens().empty())
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) config[role] = kEndOfText;
  if (!parts.around.before.empty()) config["bos_token"] = name(parts.around.before.front());
  if (!parts.around.behind.empty()) config["eos_token"] = name(parts.around.behind.back());
  return config;
}

}  // namespace

void save_with_id_tokens(const Tokenizer& tokenizer, const Vocabulary& vocabulary, const std::filesystem::path& dir) {
  const TokenizerParts& parts = tokenizer.parts();
  write_text_file(dir / "tokenizer.json",
                  parts.file.empty() ? with_id_words(parts, vocabulary) : with_added_tokens(parts, vocabulary));
  write_text_file(dir / "tokenizer_config.json", configuration(parts).dump(1));
}

}  // namespace cllm
