#include "tests/fuzzers/targets.h"

#include <unistd.h>

#include <fstream>

namespace cllm::fuzz {

namespace fs = std::filesystem;

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {{"tokenizer_json", tokenizer_json},
                                          {"tokenizer_files", tokenizer_files},
                                          {"scalars", scalars},
                                          {"tsv", tsv},
                                          {"csv", csv},
                                          {"jsonl", jsonl},
                                          {"gzip", gzip},
                                          {"movielens", movielens},
                                          {"amazon", amazon},
                                          {"yelp", yelp},
                                          {"zip_archive", zip_archive},
                                          {"zstd_table", zstd_table},
                                          {"parquet", parquet},
                                          {"recoded", recoded},
                                          {"layout", layout},
                                          {"prepare_folder", prepare_folder},
                                          {"corpus_manifest", corpus_manifest},
                                          {"corpus_shard", corpus_shard},
                                          {"safetensors", safetensors},
                                          {"gguf", gguf},
                                          {"backbone_config", backbone_config},
                                          {"config_toml", config_toml},
                                          {"config_override", config_override},
                                          {"checkpoint_manifest", checkpoint_manifest},
                                          {"checkpoint_shard", checkpoint_shard}};
  return all;
}

fs::path scratch() {
  struct Folder {
    fs::path path = fs::path(fs::exists("/dev/shm") ? "/dev/shm" : fs::temp_directory_path()) /
                    ("cllm_fuzz_" + std::to_string(getpid()));
    Folder() { fs::create_directories(path); }
    ~Folder() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

fs::path as_file(const std::string& name, std::string_view bytes) {
  const fs::path path = scratch() / name;
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

std::vector<std::string_view> split_parts(std::string_view bytes) {
  std::vector<std::string_view> parts;
  for (size_t at; (at = bytes.find('\x1E')) != std::string_view::npos; bytes.remove_prefix(at + 1))
    parts.push_back(bytes.substr(0, at));
  parts.push_back(bytes);
  return parts;
}

}  // namespace cllm::fuzz
