// Tokenizer::load and Tokenizer::save. Formats: data/text/README.md.

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "data/errors.h"
#include "data/text/hugging_face.h"
#include "data/text/tables.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using MergeList = std::vector<std::pair<std::string, std::string>>;
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

/// Puts the bytes of one entry of {"token": id} into their place.
void place_token(std::vector<std::string>& tokens, const std::string& symbols, const std::string& bytes, const json& id,
                 const std::string& where) {
  const std::string entry = where + ": token '" + symbols + "'";
  if (symbols.empty()) throw DataError(where + ": an empty token");
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size())
    throw DataError(entry + " has id " + id.dump() + "; ids must be 0 .. " + std::to_string(tokens.size() - 1));
  std::string& token = tokens[id.get<size_t>()];
  if (!token.empty() && token != bytes) throw DataError(entry + " has the id " + id.dump() + " of another token");
  token = bytes;
}

/// An added token is text as it is, unless the vocabulary has it.
void place_added(std::vector<std::string>& tokens, const json& vocabulary, const json& added,
                 const std::string& where) {
  const std::string content = added.at("content").get<std::string>();
  if (vocabulary.contains(content) && symbols_to_bytes(content) != content)
    throw DataError(where + ": added token '" + content + "' is a token of other bytes, too, which is not supported");
  place_token(tokens, content, content, added.at("id"), where);
}

/// As many distinct ids below the count as there are entries: none is missing.
std::vector<std::string> tokens_of(const json& vocabulary, const json& added, const std::string& where) {
  if (!vocabulary.is_object()) throw DataError(where + ": the vocabulary is not an object of token: id");
  size_t count = vocabulary.size();
  for (const json& token : added) count += !vocabulary.contains(token.at("content").get<std::string>());
  std::vector<std::string> tokens(count);
  for (const auto& [symbols, id] : vocabulary.items())
    place_token(tokens, symbols, symbols_to_bytes(symbols), id, where);
  for (const json& token : added) place_added(tokens, vocabulary, token, where);
  return tokens;
}

/// The flags of an added token; absent or null: the default of the format.
bool flag(const json& object, const char* key, bool otherwise) {
  return object.contains(key) && object[key].is_boolean() ? object[key].get<bool>() : otherwise;
}

/// What is cut out of texts. <|endoftext|> is not: it ends texts, and no text may.
std::vector<AddedToken> added_tokens_of(const json& added, const std::vector<std::string>& tokens,
                                        const std::string& where) {
  std::vector<AddedToken> out;
  for (const json& one : added) {
    const std::string content = one.at("content").get<std::string>();
    if (content == kEndOfText) continue;
    if (flag(one, "single_word", false))
      throw DataError(where + ": added token '" + content + "' has single_word, which is not supported");
    const auto id = one.at("id").get<size_t>();
    out.push_back({static_cast<int32_t>(id), tokens[id], flag(one, "lstrip", false), flag(one, "rstrip", false),
                   flag(one, "special", false)});
  }
  return out;
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

std::pair<std::string, std::string> parse_merge(std::string_view line, const std::string& where) {
  const size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == line.size() ||
      line.find(' ', blank + 1) != std::string_view::npos)
    throw DataError(where + ": '" + std::string(line) + "' is not two symbols with a blank between");
  return {symbols_to_bytes(line.substr(0, blank)), symbols_to_bytes(line.substr(blank + 1))};
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
    merges.push_back(parse_merge(line, path.string() + ":" + std::to_string(number)));
  }
  return merges;
}

void require(bool condition, const std::string& where, const std::string& what) {
  if (!condition) throw DataError(where + ": " + what + "; only GPT-2's byte-level BPE is supported");
}

void check_is_gpt2_kind(const json& file, const std::string& where) {
  const json& model = file.at("model");
  require(model.value("type", "BPE") == "BPE", where, "model.type is " + model.value("type", ""));
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"})
    require(!model.contains(key) || model[key].is_null() || model[key] == "", where,
            std::string("model.") + key + " is set");
  require(!flag(model, "ignore_merges", false), where, "model.ignore_merges is true");
  require(!file.contains("normalizer") || file["normalizer"].is_null(), where, "a normalizer is set");
  const json& split = file.at("pre_tokenizer");
  require(split.is_object() && split.value("type", "") == "ByteLevel", where, "pre_tokenizer.type is not ByteLevel");
  require(!flag(split, "add_prefix_space", true), where, "pre_tokenizer.add_prefix_space is not false");
  require(flag(split, "use_regex", true), where, "pre_tokenizer.use_regex is false");
}

Tokenizer load_tokenizer_json(const fs::path& path) {
  const std::string where = path.string();
  const json file = read_json(path);
  try {
    check_is_gpt2_kind(file, where);
    MergeList merges;
    for (const json& merge : file.at("model").at("merges")) {
      const std::string here = where + ": merge " + std::to_string(merges.size() + 1);
      if (merge.is_string()) {
        merges.push_back(parse_merge(merge.get<std::string>(), here));
      } else {
        require(merge.is_array() && merge.size() == 2, here, merge.dump() + " is not a pair");
        merges.emplace_back(symbols_to_bytes(merge[0].get<std::string>()),
                            symbols_to_bytes(merge[1].get<std::string>()));
      }
    }
    const json added = file.value("added_tokens", json::array());
    std::vector<std::string> tokens = tokens_of(file["model"].at("vocab"), added, where);
    std::vector<AddedToken> cut_out = added_tokens_of(added, tokens, where);
    return make_tokenizer(std::move(tokens), merges, where, std::move(cut_out));
  } catch (const json::exception& error) {  // a key is missing or of another type
    throw DataError(where + ": not a tokenizer: " + error.what());
  }
}

}  // namespace

void write_text_file(const fs::path& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << bytes;
  file.close();
  if (!file) throw DataError(path.string() + ": cannot be written");
}

ordered_json hugging_face_json(const Tokenizer& tokenizer) {
  const Tokenizer::Tables& tables = tokenizer.tables();
  ordered_json vocabulary = ordered_json::object(), merges = ordered_json::array(), added = ordered_json::array();
  std::vector<AddedToken> all_added = tables.added.tokens();
  const auto end = std::find(tables.tokens.begin(), tables.tokens.end(), kEndOfText);
  if (end != tables.tokens.end())
    all_added.push_back({static_cast<int32_t>(end - tables.tokens.begin()), kEndOfText, false, false, true});
  std::sort(all_added.begin(), all_added.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  std::set<size_t> elsewhere;  // contents that the stand-ins for bytes cannot write stand in the list alone
  for (const AddedToken& token : all_added) {
    if (bytes_to_symbols(token.content) != token.content) elsewhere.insert(static_cast<size_t>(token.id));
  }
  auto& entries = vocabulary.get_ref<ordered_json::object_t&>();  // push_back: insertion would compare with every key
  for (size_t id = 0; id < tables.tokens.size(); ++id) {
    if (!elsewhere.contains(id)) entries.emplace_back(bytes_to_symbols(tables.tokens[id]), id);
  }
  const auto symbols = [&](int32_t id) { return bytes_to_symbols(tables.tokens[static_cast<size_t>(id)]); };
  for (const auto& [left, right] : tables.merges) merges.push_back({symbols(left), symbols(right)});
  for (const AddedToken& token : all_added)
    added.push_back({{"id", token.id},
                     {"content", token.content},
                     {"single_word", false},
                     {"lstrip", token.lstrip},
                     {"rstrip", token.rstrip},
                     {"normalized", false},
                     {"special", token.special}});
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
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", std::move(vocabulary)},
            {"merges", std::move(merges)}}}};
}

Tokenizer Tokenizer::load(const fs::path& dir) {
  if (fs::exists(dir / "tokenizer.json")) return load_tokenizer_json(dir / "tokenizer.json");
  const fs::path vocabulary = dir / "vocab.json", merges = dir / "merges.txt";
  for (const fs::path& file : {vocabulary, merges})
    if (!fs::exists(file))
      throw DataError(dir.string() + ": no tokenizer.json and no " + file.filename().string() +
                      "; a tokenizer needs one of both forms");
  const json added = added_tokens_beside(dir);
  std::vector<std::string> tokens = tokens_of(read_json(vocabulary), added, vocabulary.string());
  std::vector<AddedToken> cut_out = added_tokens_of(added, tokens, dir.string());
  return make_tokenizer(std::move(tokens), read_merges(merges), dir.string(), std::move(cut_out));
}

void Tokenizer::save(const fs::path& dir) const {
  std::error_code error;
  fs::create_directories(dir, error);
  if (error) throw DataError(dir.string() + ": cannot be made: " + error.message());
  const ordered_json file = hugging_face_json(*this);
  std::string merges = "#version: 0.2\n";
  for (const ordered_json& merge : file["model"]["merges"])
    merges += merge[0].get<std::string>() + ' ' + merge[1].get<std::string>() + '\n';
  write_text_file(dir / "vocab.json", file["model"]["vocab"].dump());
  write_text_file(dir / "merges.txt", merges);
  write_text_file(dir / "tokenizer.json", file.dump(1));
}

}  // namespace cllm
