// Tokenizer::load and Tokenizer::save. Formats: data/text/README.md.

#include <algorithm>
#include <fstream>
#include <iterator>

#include "data/errors.h"
#include "data/text/hugging_face.h"
#include "data/text/tokenizer.h"
#include "data/text/tokenizers/byte_symbols.h"
#include "data/text/tokenizers/gguf_tokenizer.h"
#include "data/text/tokenizers/tokenizer_json.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;  // sorted keys: ordered_json takes quadratic time to read 50,000 of them
using nlohmann::ordered_json;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path.string() + ": cannot be opened");
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) throw DataError(path.string() + ": cannot be read");
  return bytes;
}

json read_json(const fs::path& path) {
  constexpr int kMaxDepth = 64;  // printing a value for a message recurses
  try {
    return json::parse(read_file(path), [&](int depth, json::parse_event_t, json&) {
      if (depth > kMaxDepth) throw DataError(path.string() + ": nested too deeply for a tokenizer");
      return true;
    });
  } catch (const json::parse_error& error) {
    throw DataError(path.string() + ": not JSON at byte " + std::to_string(error.byte));
  }
}

MergeList read_merges(const fs::path& path) {
  const std::string text = read_file(path);
  MergeList merges;
  int64_t number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = std::string_view(text).substr(start, end - start);
    start = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    const auto [left, right] = merge_of(line, path.string() + ":" + std::to_string(number));
    merges.emplace_back(symbols_to_bytes(left), symbols_to_bytes(right));
  }
  return merges;
}

/// Of vocab.json and merges.txt: tokenizer_config.json (id: token) or, older, added_tokens.json (content: id).
json added_tokens_beside(const fs::path& dir) {
  json out = json::array();
  const fs::path config = dir / "tokenizer_config.json", older = dir / "added_tokens.json";
  try {
    const json by_id = fs::exists(config) ? read_json(config).value("added_tokens_decoder", json::object()) : json();
    for (const auto& [id, token] : by_id.items()) {
      out.push_back(token);
      out.back()["id"] = static_cast<uint64_t>(std::stoull(id));
    }
    if (!out.empty() || !fs::exists(older)) return out;
    const json by_content = read_json(older);
    for (const auto& [content, id] : by_content.items()) out.push_back({{"content", content}, {"id", id}});
  } catch (const DataError&) {
    throw;
  } catch (const std::exception& error) {  // a key is missing or of another type, an id is no number
    throw DataError((fs::exists(config) ? config : older).string() + ": not a list of added tokens: " + error.what());
  }
  return out;
}

/// The pair as the tokenizer.json that it stands for.
json json_of_pair(const fs::path& vocabulary, const fs::path& merges, const json& added) {
  json pairs = json::array();
  for (const auto& [left, right] : read_merges(merges))
    pairs.push_back({bytes_to_symbols(left), bytes_to_symbols(right)});
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  return {{"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"decoder", byte_level},
          {"model", bpe_model_json(read_json(vocabulary), std::move(pairs))}};
}

}  // namespace

void write_text_file(const fs::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
  file.close();
  if (!file) throw DataError(path.string() + ": cannot be written");
}

ordered_json gpt2_json(const TokenizerParts& tables) {
  ordered_json vocabulary = ordered_json::object(), merges = ordered_json::array(), added = ordered_json::array();
  auto& entries = vocabulary.get_ref<ordered_json::object_t&>();  // push_back: insertion would compare with every key
  for (const std::string& token : tables.tokens) entries.emplace_back(bytes_to_symbols(token), entries.size());
  const auto symbols = [&](int32_t id) { return bytes_to_symbols(tables.tokens[static_cast<size_t>(id)]); };
  for (const auto& [left, right] : tables.merges) merges.push_back({symbols(left), symbols(right)});
  const auto end = std::find(tables.tokens.begin(), tables.tokens.end(), kEndOfText);
  if (end != tables.tokens.end())
    added.push_back({{"id", end - tables.tokens.begin()},
                     {"content", kEndOfText},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  const ordered_json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model", bpe_model_json(std::move(vocabulary), std::move(merges))}};
}

Tokenizer Tokenizer::load(const fs::path& dir) {
  if (dir.extension() == ".gguf") return Tokenizer(parts_of(tokenizer_json_of(GgufFile(dir)), dir.string()));
  const fs::path file = dir / "tokenizer.json";
  if (fs::exists(file)) return Tokenizer(parts_of(read_json(file), file.string()));
  const fs::path vocabulary = dir / "vocab.json", merges = dir / "merges.txt";
  for (const fs::path& one : {vocabulary, merges})
    if (!fs::exists(one))
      throw DataError(dir.string() + ": no tokenizer.json and no " + one.filename().string() +
                      "; a tokenizer needs one of both forms");
  const json added = added_tokens_beside(dir);
  const bool only_the_end = std::all_of(added.begin(), added.end(), [](const json& token) {
    return token.is_object() && token.value("content", "") == kEndOfText;
  });
  if (!only_the_end) return Tokenizer(parts_of(json_of_pair(vocabulary, merges, added), dir.string()));
  return Tokenizer(gpt2_parts(tokens_of(read_json(vocabulary), json::array(), true, vocabulary.string()),
                              read_merges(merges), dir.string()));
}

void Tokenizer::save(const fs::path& dir) const {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) throw DataError(dir.string() + ": cannot be made: " + error.message());
  if (!parts_->file.empty()) return write_text_file(dir / "tokenizer.json", parts_->file);
  const ordered_json file = gpt2_json(*parts_);
  std::string merges = "#version: 0.2\n";
  for (const ordered_json& merge : file["model"]["merges"])
    merges += merge[0].get<std::string>() + ' ' + merge[1].get<std::string>() + '\n';
  write_text_file(dir / "vocab.json", file["model"]["vocab"].dump());
  write_text_file(dir / "merges.txt", merges);
  write_text_file(dir / "tokenizer.json", file.dump(1));
}

}  // namespace cllm
