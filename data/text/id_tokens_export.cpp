// The tokenizer of an exported model. transformers has no such rule as METHOD.md §2, but the same ids come out of this
// chain: ID words are ordinary vocabulary entries, blanks before them and at the end are removed, ID words are cut out
// whole, and ignore_merges lets a word that is in the vocabulary be its own token. (Added tokens would match user_1
// inside user_12345 when 12345 is out of range, keep the blanks, and load slowly for many users.)

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

ordered_json pre_tokenizer() {
  const std::string id = kIdWord, blanks = "[\\s\\x1c-\\x1f]+";  // as str.rstrip
  const ordered_json bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  return {{"type", "Sequence"},
          {"pretokenizers",
           {split(blanks + "(?=" + id + ")|" + blanks + "\\z", "Removed"), split(id, "Isolated"),
            split(id + "|" + kGpt2Words, "Isolated"), bytes}}};
}

}  // namespace

void save_with_id_tokens(const Tokenizer& tokenizer, const Vocabulary& vocabulary, const std::filesystem::path& dir) {
  ordered_json file = hugging_face_json(tokenizer);
  file["pre_tokenizer"] = pre_tokenizer();
  file["model"]["ignore_merges"] = true;
  auto& entries = file["model"]["vocab"].get_ref<ordered_json::object_t&>();
  for (int64_t i = 0; i < vocabulary.num_users; ++i)
    entries.emplace_back("user_" + std::to_string(i), vocabulary.user_token(i));
  for (int64_t j = 0; j < vocabulary.num_items; ++j)
    entries.emplace_back("item_" + std::to_string(j), vocabulary.item_token(j));
  // The class named by the model type (GPT2Tokenizer) would build GPT-2's chain anew; this one takes tokenizer.json as
  // it is.
  ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  if (!file["added_tokens"].empty())
    for (const char* role : {"bos_token", "eos_token", "unk_token"}) config[role] = kEndOfText;
  write_text_file(dir / "tokenizer.json", file.dump(1));
  write_text_file(dir / "tokenizer_config.json", config.dump(1));
}

}  // namespace cllm
