#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cllm::fuzz {

/// One parser of outside bytes under attack. `run` may end normally, whatever the bytes are; a BrokenPromise, a foreign
/// exception, a crash, a hang or a large allocation is a finding.
struct Target {
  std::string name;  // also of its folder in corpus/
  void (*run)(std::string_view bytes);
};
const std::vector<Target>& targets();

struct BrokenPromise : std::logic_error {
  using std::logic_error::logic_error;
};
inline void require(bool kept, const char* promise) {
  if (!kept) throw BrokenPromise(promise);
}

/// The bytes as a file of a scratch folder in memory, one folder per process.
std::filesystem::path scratch();
std::filesystem::path as_file(const std::string& name, std::string_view bytes);

/// An input of several files is one file with the byte 0x1E between them.
std::vector<std::string_view> split_parts(std::string_view bytes);

// data/
void tokenizer_json(std::string_view bytes);
void tokenizer_files(std::string_view bytes);
void scalars(std::string_view bytes);
void tsv(std::string_view bytes);
void csv(std::string_view bytes);
void jsonl(std::string_view bytes);
void gzip(std::string_view bytes);
void movielens(std::string_view bytes);
void amazon(std::string_view bytes);
void yelp(std::string_view bytes);
void zip_archive(std::string_view bytes);
void zstd_table(std::string_view bytes);
void parquet(std::string_view bytes);
void recoded(std::string_view bytes);
void layout(std::string_view bytes);
void prepare_folder(std::string_view bytes);
void corpus_manifest(std::string_view bytes);
void corpus_shard(std::string_view bytes);
// model/, launch/, checkpoints/
void safetensors(std::string_view bytes);
void gguf(std::string_view bytes);
void backbone_config(std::string_view bytes);
void config_toml(std::string_view bytes);
void config_override(std::string_view bytes);
void checkpoint_manifest(std::string_view bytes);
void checkpoint_shard(std::string_view bytes);

}  // namespace cllm::fuzz
