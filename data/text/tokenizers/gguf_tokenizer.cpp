#include "data/text/tokenizers/gguf_tokenizer.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/tokenizer_json.h"

namespace cllm {
namespace {

using nlohmann::json;

constexpr char kContractions[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
constexpr char kOthers[] = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr char kTekken[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

enum TokenType : int64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUser = 4, kUnused = 5, kByte = 6 };

/// tokenizer.ggml.*, checked.
class Metadata {
 public:
  explicit Metadata(const GgufFile& file) : file_(file) {
    for (const json& token : list("tokens", true)) tokens.push_back(text_of(token, "tokens"));
    for (const json& type : list("token_type", false)) {
      if (!type.is_number_integer()) file.refuse("tokenizer.ggml.token_type holds something else than numbers");
      types.push_back(type.get<int64_t>());
    }
    if (types.empty()) types.assign(tokens.size(), kNormal);
    if (types.size() != tokens.size())
      file.refuse("tokenizer.ggml.token_type has " + std::to_string(types.size()) + " entries for " +
                  std::to_string(tokens.size()) + " tokens");
  }

  const json& list(const char* key, bool needed) const {
    static const json kNone = json::array();
    const std::string name = std::string("tokenizer.ggml.") + key;
    if (!file_.has(name) && !needed) return kNone;
    if (!file_.has(name) || !file_.metadata()[name].is_array()) file_.refuse(name + " is missing, or no list");
    return file_.metadata()[name];
  }

  std::string text_of(const json& value, const char* key) const {
    if (!value.is_string()) file_.refuse(std::string("tokenizer.ggml.") + key + " holds something else than texts");
    std::string text = value.get<std::string>();
    for_each_code_point(text, [&](int32_t code, std::string_view) {
      if (code < 0) file_.refuse(std::string("tokenizer.ggml.") + key + " holds bytes that are no UTF-8");
    });
    return text;
  }

  std::vector<double> scores() const {
    std::vector<double> out;
    for (const json& score : list("scores", true)) {
      if (!score.is_number()) file_.refuse("tokenizer.ggml.scores holds something else than numbers");
      out.push_back(score.get<double>());
    }
    if (out.size() != tokens.size()) file_.refuse("tokenizer.ggml.scores has not one score for each token");
    return out;
  }

  /// The token that a key names, if it is given.
  std::optional<size_t> token(const char* key) const {
    const int64_t id = file_.count(std::string("tokenizer.ggml.") + key, -1);
    if (id < 0) return std::nullopt;
    if (static_cast<size_t>(id) >= tokens.size())
      file_.refuse(std::string("tokenizer.ggml.") + key + " is " + std::to_string(id) + " of " +
                   std::to_string(tokens.size()) + " tokens");
    return static_cast<size_t>(id);
  }

  const GgufFile& file() const { return file_; }
  std::vector<std::string> tokens;
  std::vector<int64_t> types;

 private:
  const GgufFile& file_;
};

constexpr char kMark[] = "\u2581";

/// Control and unknown tokens are special; those that a user defined are always found in a text. `marked`: blanks are
/// marks where they are looked for.
json added_tokens(const Metadata& metadata, bool marked) {
  json added = json::array();
  for (size_t id = 0; id < metadata.tokens.size(); ++id) {
    const int64_t type = metadata.types[id];
    const std::string& token = metadata.tokens[id];
    if (type != kControl && type != kUser && type != kUnknown) continue;
    added.push_back({{"id", id},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", marked && type == kUser && token.find(kMark) != std::string::npos},
                     {"special", type != kUser}});
  }
  return added;
}

json special(const std::string& token) { return {{"SpecialToken", {{"id", token}, {"type_id", 0}}}}; }

json post_processor(const Metadata& metadata, bool bos_by_default) {
  json single = json::array(), tokens = json::object();
  const auto add = [&](const char* key, bool wanted) {
    const std::optional<size_t> id = metadata.token(key);
    if (!wanted || !id) return;
    const std::string& token = metadata.tokens[*id];
    single.push_back(special(token));
    tokens[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  add("bos_token_id", metadata.file().flag("tokenizer.ggml.add_bos_token", bos_by_default));
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add("eos_token_id", metadata.file().flag("tokenizer.ggml.add_eos_token", false));
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", json::array()}, {"special_tokens", tokens}};
}

json byte_level(bool gpt2_words) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", gpt2_words}};
}

json in_turn(const json& first, const json& second) {
  return {{"type", "Sequence"}, {"pretokenizers", {first, second}}};
}

json words(const std::string& pattern) {
  return in_turn({{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}},
                 byte_level(false));
}

json byte_level_bpe(const Metadata& metadata) {
  json vocabulary = json::object(), merges = json::array();
  for (size_t id = 0; id < metadata.tokens.size(); ++id)
    if (metadata.types[id] != kControl && metadata.types[id] != kUser) vocabulary.emplace(metadata.tokens[id], id);
  for (const json& merge : metadata.list("merges", true)) merges.push_back(metadata.text_of(merge, "merges"));
  json out = {{"version", "1.0"},
              {"added_tokens", added_tokens(metadata, false)},
              {"normalizer", nullptr},
              {"decoder", byte_level(true)},
              {"model", bpe_model_json(std::move(vocabulary), std::move(merges))}};
  const std::string kind = metadata.file().text("tokenizer.ggml.pre", "default");
  if (kind == "gpt-2" || kind == "default") {
    out["pre_tokenizer"] = byte_level(true);
  } else if (kind == "smollm") {
    out["pre_tokenizer"] = in_turn({{"type", "Digits"}, {"individual_digits", true}}, byte_level(true));
  } else if (kind == "llama-bpe" || kind == "llama3") {
    out["pre_tokenizer"] = words(std::string(kContractions) + "\\p{N}{1,3}" + kOthers);
    out["model"]["ignore_merges"] = true;
  } else if (kind == "qwen2") {
    out["pre_tokenizer"] = words(std::string(kContractions) + "\\p{N}" + kOthers);
    out["normalizer"] = {{"type", "NFC"}};
  } else if (kind == "tekken") {
    out["pre_tokenizer"] = words(kTekken);
    out["model"]["ignore_merges"] = true;
  } else {
    metadata.file().refuse("tokenizer.ggml.pre is '" + kind +
                           "'; known are gpt-2, default, smollm, llama-bpe, qwen2, tekken");
  }
  out["post_processor"] = post_processor(metadata, kind == "llama-bpe" || kind == "llama3" || kind == "tekken");
  return out;
}

/// SentencePiece joins the neighbours whose piece has the highest score: a merge for each way to cut a piece in two.
json merges_by_score(const Metadata& metadata) {
  const std::vector<double> scores = metadata.scores();
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < metadata.tokens.size(); ++id)
    if (metadata.types[id] == kNormal) ids.emplace(metadata.tokens[id], id);
  struct Merge {
    double score;
    size_t piece, left_bytes;
  };
  std::vector<Merge> merges;
  for (const auto& [piece, id] : ids) {
    for (size_t at = code_point_at(piece, 0).bytes; at < piece.size(); at += code_point_at(piece, at).bytes)
      if (ids.contains(piece.substr(0, at)) && ids.contains(piece.substr(at))) merges.push_back({scores[id], id, at});
  }
  std::sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return std::tuple(-a.score, a.piece, a.left_bytes) < std::tuple(-b.score, b.piece, b.left_bytes);
  });
  json out = json::array();
  for (const Merge& merge : merges) {
    const std::string& piece = metadata.tokens[merge.piece];
    out.push_back({piece.substr(0, merge.left_bytes), piece.substr(merge.left_bytes)});
  }
  return out;
}

json sentence_piece_bpe(const Metadata& metadata) {
  json vocabulary = json::object();
  for (size_t id = 0; id < metadata.tokens.size(); ++id) vocabulary.emplace(metadata.tokens[id], id);
  json bpe = bpe_model_json(std::move(vocabulary), merges_by_score(metadata));
  bpe["byte_fallback"] = bpe["fuse_unk"] = true;
  if (const auto unknown = metadata.token("unknown_token_id")) bpe["unk_token"] = metadata.tokens[*unknown];
  const bool prefix = metadata.file().flag("tokenizer.ggml.add_space_prefix", true);
  const json blanks = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMark}};
  json normalizer = blanks;
  if (prefix)
    normalizer = {{"type", "Sequence"}, {"normalizers", {json{{"type", "Prepend"}, {"prepend", kMark}}, blanks}}};
  json decoders = {json{{"type", "Replace"}, {"pattern", {{"String", kMark}}}, {"content", " "}},
                   json{{"type", "ByteFallback"}}, json{{"type", "Fuse"}}};
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"version", "1.0"},
          {"added_tokens", added_tokens(metadata, !prefix)},
          {"normalizer", normalizer},
          {"pre_tokenizer", nullptr},
          {"post_processor", post_processor(metadata, true)},
          {"decoder", {{"type", "Sequence"}, {"decoders", decoders}}},
          {"model", std::move(bpe)}};
}

}  // namespace

json tokenizer_json_of(const GgufFile& file) {
  const std::string kind = file.text("tokenizer.ggml.model", "");
  if (kind == "gpt2") return byte_level_bpe(Metadata(file));
  if (kind == "llama") return sentence_piece_bpe(Metadata(file));
  file.refuse("tokenizer.ggml.model is '" + kind + "'; known are gpt2 (byte-level BPE) and llama (SentencePiece BPE)");
}

}  // namespace cllm
