#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/corpus/shard_file.h"

namespace cllm {

inline constexpr std::string_view kCorpusFormat = "cllm4rec-corpus";
inline constexpr int kCorpusVersion = 2;  // written; 1 is read, too
inline constexpr std::string_view kManifestName = "corpus.json";
inline constexpr std::string_view kTokenizerFolder = "tokenizer";

struct FileEntry {
  std::string name;  // relative to the corpus
  uint64_t bytes = 0;
  std::string xxh3;  // 16 hexadecimal digits
};

/// A shard holds rows first_row .. first_row + rows - 1 of its family.
struct CorpusShard {
  FileEntry file;
  int64_t first_row = 0;
  int64_t rows = 0;
};

/// Which datasets the shards have besides those of version 1.
struct CorpusColumns {
  bool histories = true;  // of users: items in time order
  bool times = false;     // of users, with histories
  bool ratings = false;   // of users, with histories
  bool raw_texts = true;  // of texts
  bool news = false;      // of users: how many training items the corpus that is extended does not train on
};

/// corpus.json. Written last: a folder without it is not a corpus.
struct CorpusManifest {
  int version = kCorpusVersion;
  CorpusColumns columns;  // all false in version 1
  Vocabulary vocabulary;
  std::array<int64_t, kNumParts> num_interactions{};
  int64_t num_texts = 0;
  int64_t num_text_tokens = 0;
  std::vector<std::string> text_kinds;
  std::string tokenizer_fingerprint;
  std::vector<FileEntry> tokenizer;
  std::vector<CorpusShard> users, items, texts;
  std::vector<Ancestor> ancestors;  // the latest first
  nlohmann::ordered_json options;   // of prepare, split included
  nlohmann::ordered_json report;    // what prepare counted

  /// The text of corpus.json; its "fingerprint" is the digest of all the rest, file checksums included.
  std::string to_text() const;
  /// DataError (with path) unless it is a manifest of version 1 or 2, undamaged, whose shards cover their rows without
  /// a gap.
  static CorpusManifest parse(const std::string& text, const std::filesystem::path& path);

  std::string fingerprint;  // set by parse
};

/// The entry of an existing file.
FileEntry describe_file(const std::filesystem::path& corpus, const std::string& name);

/// The datasets of a shard of each family with so many rows.
std::vector<DatasetSpec> user_datasets(int64_t rows, const CorpusColumns& columns);
std::vector<DatasetSpec> item_datasets(int64_t rows);
std::vector<DatasetSpec> text_datasets(int64_t rows, const CorpusColumns& columns);

}  // namespace cllm
