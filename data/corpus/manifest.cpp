#include "data/corpus/manifest.h"

#include <limits>
#include <utility>

#include "data/corpus/files.h"
#include "data/errors.h"

namespace cllm {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxRows = std::numeric_limits<int32_t>::max();  // row indices are 32 bit

Json to_json(const FileEntry& file) { return {{"name", file.name}, {"bytes", file.bytes}, {"xxh3", file.xxh3}}; }

Json to_json(const std::vector<CorpusShard>& shards) {
  Json list = Json::array();
  for (const CorpusShard& shard : shards) {
    Json entry = to_json(shard.file);
    entry["first_row"] = shard.first_row;
    entry["rows"] = shard.rows;
    list.push_back(entry);
  }
  return list;
}

/// A number that T holds; the JSON library would cast 2.5 or 1e30 to whatever comes.
template <class T = int64_t>
T whole_number(const Json& value) {
  const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<uint64_t>())
                                               : value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
  if (!fits) throw DataError("damaged: expected a whole number, found " + value.dump());
  return value.get<T>();
}

/// A name that stays inside the corpus: no absolute path, no "..".
FileEntry file_from(const Json& entry) {
  FileEntry file{entry.at("name"), whole_number<uint64_t>(entry.at("bytes")), entry.at("xxh3")};
  const std::filesystem::path name(file.name);
  bool inside = !file.name.empty() && !name.is_absolute();
  for (const auto& piece : name) inside = inside && piece != "..";
  if (!inside) throw DataError("file name '" + file.name + "' leaves the corpus");
  return file;
}

std::vector<CorpusShard> shards_from(const Json& list, int64_t rows, const std::string& family) {
  std::vector<CorpusShard> shards;
  int64_t next_row = 0;
  for (const Json& entry : list) {
    const CorpusShard shard{file_from(entry), whole_number(entry.at("first_row")), whole_number(entry.at("rows"))};
    if (shard.first_row != next_row || shard.rows < 1 || shard.rows > rows - next_row) {
      throw DataError("shard '" + shard.file.name + "' does not continue the rows before it");
    }
    next_row += shard.rows;
    shards.push_back(shard);
  }
  if (next_row != rows)
    throw DataError("the " + family + " shards end at row " + std::to_string(next_row) + " of " + std::to_string(rows));
  return shards;
}

int64_t count_from(const Json& counts, const char* key, int64_t max = std::numeric_limits<int64_t>::max()) {
  const int64_t value = whole_number(counts.at(key));
  if (value < 0 || value > max) throw DataError(std::string("count '") + key + "' is " + std::to_string(value));
  return value;
}

/// The version, if this program reads it.
int version_of(const Json& json) {
  if (!json.is_object() || json.value("format", "") != kCorpusFormat) throw DataError("not the manifest of a corpus");
  const int64_t version = whole_number(json.value("version", Json(0)));
  if (version < 1 || version > kCorpusVersion) {
    throw DataError("format version " + std::to_string(version) + ", this program reads 1 and " +
                    std::to_string(kCorpusVersion) + "; run `cllm4rec prepare` again");
  }
  return static_cast<int>(version);
}

CorpusColumns columns_from(const Json& json, int version) {
  if (version == 1) return {false, false, false, false, false};
  const Json& histories = json.at("histories");
  return {true, histories.at("times").get<bool>(), histories.at("ratings").get<bool>(), true, json.contains("extends")};
}

std::vector<Ancestor> ancestors_from(const Json& json, const CorpusManifest& manifest) {
  std::vector<Ancestor> out;
  if (!json.contains("extends")) return out;
  for (const Json& entry : json.at("extends")) {
    const auto before =
        out.empty() ? Ancestor{"", manifest.vocabulary.num_users, manifest.vocabulary.num_items, manifest.num_texts}
                    : out.back();
    out.push_back({entry.at("fingerprint"), count_from(entry, "users", before.users),
                   count_from(entry, "items", before.items), count_from(entry, "texts", before.texts)});
  }
  if (out.empty()) throw DataError("damaged: extends nothing");
  return out;
}

CorpusManifest from_json(Json json) {
  CorpusManifest manifest;
  manifest.version = version_of(json);
  manifest.fingerprint = json.at("fingerprint");
  json.erase("fingerprint");
  if (digest_of(json.dump()) != manifest.fingerprint)
    throw DataError("changed after it was written (the fingerprint does not fit)");
  manifest.columns = columns_from(json, manifest.version);
  const Json& counts = json.at("counts");
  manifest.vocabulary.num_words = count_from(counts, "words", kMaxRows);
  manifest.vocabulary.num_users = count_from(counts, "users", kMaxRows);
  manifest.vocabulary.num_items = count_from(counts, "items", kMaxRows);
  for (int part = 0; part < kNumParts; ++part)
    manifest.num_interactions[part] = count_from(counts, kPartNames[part].data());
  manifest.num_texts = count_from(counts, "texts");
  manifest.num_text_tokens = count_from(counts, "text_tokens");
  manifest.text_kinds = json.at("text_kinds").get<std::vector<std::string>>();
  manifest.tokenizer_fingerprint = json.at("tokenizer").at("fingerprint");
  for (const Json& entry : json.at("tokenizer").at("files")) manifest.tokenizer.push_back(file_from(entry));
  manifest.users = shards_from(json.at("shards").at("users"), manifest.vocabulary.num_users, "user");
  manifest.items = shards_from(json.at("shards").at("items"), manifest.vocabulary.num_items, "item");
  manifest.texts = shards_from(json.at("shards").at("texts"), manifest.num_texts, "text");
  manifest.ancestors = ancestors_from(json, manifest);
  manifest.options = json.at("options");
  manifest.report = json.at("report");
  return manifest;
}

}  // namespace

std::string CorpusManifest::to_text() const {
  Json json;
  json["format"] = kCorpusFormat;
  json["version"] = version;
  Json counts = {{"users", vocabulary.num_users}, {"items", vocabulary.num_items}, {"words", vocabulary.num_words}};
  for (int part = 0; part < kNumParts; ++part) counts[std::string(kPartNames[part])] = num_interactions[part];
  counts["texts"] = num_texts;
  counts["text_tokens"] = num_text_tokens;
  json["counts"] = counts;
  if (version > 1) json["histories"] = {{"times", columns.times}, {"ratings", columns.ratings}};
  for (const Ancestor& one : ancestors) {
    json["extends"].push_back(
        {{"fingerprint", one.fingerprint}, {"users", one.users}, {"items", one.items}, {"texts", one.texts}});
  }
  json["text_kinds"] = text_kinds;
  json["options"] = options;
  json["report"] = report;
  Json files = Json::array();
  for (const FileEntry& file : tokenizer) files.push_back(cllm::to_json(file));
  json["tokenizer"] = {{"fingerprint", tokenizer_fingerprint}, {"files", files}};
  json["shards"] = {{"users", cllm::to_json(users)}, {"items", cllm::to_json(items)}, {"texts", cllm::to_json(texts)}};
  json["fingerprint"] = digest_of(json.dump());
  return json.dump(2) + "\n";
}

CorpusManifest CorpusManifest::parse(const std::string& text, const std::filesystem::path& path) try {
  constexpr int kMaxDepth = 64;  // the fingerprint is that of the printed text, and printing recurses
  return from_json(Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
    if (depth > kMaxDepth) throw DataError("damaged: nested too deeply");
    return true;
  }));
} catch (const nlohmann::json::exception& error) {
  throw DataError(path.string() + ": damaged: " + error.what());
} catch (const DataError& error) {
  throw DataError(path.string() + ": " + error.what());
}

FileEntry describe_file(const std::filesystem::path& corpus, const std::string& name) {
  return {name, std::filesystem::file_size(corpus / name), checksum_of_file(corpus / name)};
}

std::vector<DatasetSpec> item_datasets(int64_t rows) {
  const auto count = static_cast<uint64_t>(rows);
  return {{"raw_bytes", ElementType::kUint8, {}},
          {"raw_offsets", ElementType::kInt64, count + 1},
          {"raw_sorted", ElementType::kInt32, count},
          {"input_order", ElementType::kInt32, count}};
}

std::vector<DatasetSpec> user_datasets(int64_t rows, const CorpusColumns& columns) {
  std::vector<DatasetSpec> specs = item_datasets(rows);
  for (const std::string_view part : kPartNames) {
    specs.push_back({std::string(part) + "_offsets", ElementType::kInt64, static_cast<uint64_t>(rows) + 1});
    specs.push_back({std::string(part) + "_items", ElementType::kInt32, {}});
    if (columns.histories) specs.push_back({std::string(part) + "_history", ElementType::kInt32, {}});
    if (columns.times) specs.push_back({std::string(part) + "_times", ElementType::kInt64, {}});
    if (columns.ratings) specs.push_back({std::string(part) + "_ratings", ElementType::kFloat32, {}});
  }
  if (columns.news) specs.push_back({"train_new", ElementType::kInt32, static_cast<uint64_t>(rows)});
  return specs;
}

std::vector<DatasetSpec> text_datasets(int64_t rows, const CorpusColumns& columns) {
  const auto count = static_cast<uint64_t>(rows);
  std::vector<DatasetSpec> specs = {{"user", ElementType::kInt32, count},
                                    {"item", ElementType::kInt32, count},
                                    {"kind", ElementType::kInt32, count},
                                    {"offsets", ElementType::kInt64, count + 1},
                                    {"tokens", ElementType::kInt32, {}}};
  if (columns.raw_texts) {
    specs.push_back({"raw_bytes", ElementType::kUint8, {}});
    specs.push_back({"raw_offsets", ElementType::kInt64, count + 1});
  }
  return specs;
}

}  // namespace cllm
