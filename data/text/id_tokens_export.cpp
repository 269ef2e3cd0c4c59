// The tokenizer of an exported model. transformers has no such rule as METHOD.md §2, but the same ids come out of this
// chain: ID words are ordinary vocabulary entries, blanks before them and at the end are removed, ID words are cut out
// whole, and ignore_merges lets a word that is in the vocabulary be its own token. (Added tokens would match user_1
// inside user_12345 when 12345 is out of range, keep the blanks, and load slowly for many users.)

#include <algorithm>
#include <cctype>

#include "data/text/hugging_face.h"
#include "data/text/id_tokens.h"
#include "data/text/tables.h"

namespace cllm {
namespace {

using nlohmann::ordered_json;

constexpr char kIdWord[] = "(?:user|item)_[0-9]+";
constexpr char kGpt2Words[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

ordered_json split(const std::string& pattern, const char* behaviour) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", behaviour}, {"invert", false}};
}

/// The contents as one pattern, the longest first: that is what AddedTokens finds.
std::string pattern_of(std::vector<std::string> contents) {
  std::sort(contents.begin(), contents.end(),
            [](const auto& a, const auto& b) { return a.size() != b.size() ? a.size() > b.size() : a < b; });
  std::string out;
  for (const std::string& content : contents) {
    out += "|";
    for (const char c : content) {
      if (std::ispunct(static_cast<unsigned char>(c)) != 0) out += '\\';
      out += c;
    }
  }
  return out;
}

/// Added tokens go the way of ID words, too: as the library's own they would cut the text before the blanks at its end
/// are looked for. Those that take blanks with them stay the library's own. Returns the others' pattern.
std::string move_added_tokens(const Tokenizer& tokenizer, ordered_json& file) {
  auto& entries = file["model"]["vocab"].get_ref<ordered_json::object_t&>();
  ordered_json kept = ordered_json::array();
  std::vector<std::string> contents;
  for (const ordered_json& token : file["added_tokens"]) {
    const std::string content = token["content"];
    if (content == kEndOfText || token["lstrip"] == true || token["rstrip"] == true) {
      kept.push_back(token);
      continue;
    }
    contents.push_back(content);
    const auto id = token["id"].get<int64_t>();
    const std::string& bytes = tokenizer.tables().tokens[static_cast<size_t>(id)];
    if (bytes_to_symbols(bytes) != content) entries.emplace_back(bytes_to_symbols(bytes), id);
  }
  file["added_tokens"] = kept;
  return pattern_of(std::move(contents));
}

ordered_json pre_tokenizer(const std::string& added) {
  const std::string id = kIdWord + added, blanks = "[\\s\\x1c-\\x1f]+";  // as str.rstrip
  const ordered_json bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  return {{"type", "Sequence"},
          {"pretokenizers",
           {split(blanks + "(?=" + kIdWord + ")|" + blanks + "\\z", "Removed"), split(id, "Isolated"),
            split(id + "|" + kGpt2Words, "Isolated"), bytes}}};
}

}  // namespace

void save_with_id_tokens(const Tokenizer& tokenizer, const Vocabulary& vocabulary, const std::filesystem::path& dir) {
  ordered_json file = hugging_face_json(tokenizer);
  file["pre_tokenizer"] = pre_tokenizer(move_added_tokens(tokenizer, file));
  file["model"]["ignore_merges"] = true;
  auto& entries = file["model"]["vocab"].get_ref<ordered_json::object_t&>();
  for (int64_t i = 0; i < vocabulary.num_users; ++i)
    entries.emplace_back("user_" + std::to_string(i), vocabulary.user_token(i));
  for (int64_t j = 0; j < vocabulary.num_items; ++j)
    entries.emplace_back("item_" + std::to_string(j), vocabulary.item_token(j));
  // The class named by the model type (GPT2Tokenizer) would build GPT-2's chain anew; this one takes tokenizer.json as
  // it is.
  ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  const auto& tokens = tokenizer.tables().tokens;
  if (std::find(tokens.begin(), tokens.end(), kEndOfText) != tokens.end())
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) config[role] = kEndOfText;
  write_text_file(dir / "tokenizer.json", file.dump(1));
  write_text_file(dir / "tokenizer_config.json", config.dump(1));
}

}  // namespace cllm
