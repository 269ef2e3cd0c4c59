#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace cllm::testing {

/// A row of the table. The command runs in a folder of its own that holds good copies of raw/ (interaction files),
/// corpus/, backbone/ and run/ (a finished run); `damage` makes one thing bad. It must end with `code` and one line
/// that contains every piece of `message`: what is wrong, where, the value, what to do.
struct BadInput {
  std::string name;
  std::function<void()> damage;
  std::string arguments;
  int code;
  std::vector<std::string> message;
};
using Rows = std::vector<BadInput>;

inline const std::string kTrain = "train --run.dir=new --run.corpus=corpus --run.backbone=backbone ";

Rows bad_command_lines();
Rows bad_configurations();
Rows bad_interactions();
Rows bad_corpora();
Rows bad_tokenizers();
Rows bad_backbones();
Rows bad_embeddings();
Rows bad_runs();

/// Makes the good folders once, with the program's own commands, and a copy of them per row; enters the copy.
class World {
 public:
  explicit World(const std::function<int(const std::string&)>& run_command);
  ~World();
  void enter_copy(const std::string& name) const;

 private:
  std::filesystem::path root_;
};

struct Ended {
  int code = 0;
  std::string line = "";  // of an error
};
/// The program's own entry point, in this process.
Ended run_here(const std::string& arguments);
const World& the_world();

// What damages do; paths are relative to the copy.
inline void nothing() {}
void write(const std::string& path, const std::string& bytes);
std::string read(const std::string& path);
void remove(const std::string& path);
void truncate(const std::string& path, size_t bytes);
/// Puts `now` in place of the first `before`, which must be there.
void replace(const std::string& path, const std::string& before, const std::string& now);
void flip_byte(const std::string& path, size_t offset);
/// Changes a manifest and gives it the fingerprint or checksum that a forger would compute.
void forge_corpus(const std::function<void(nlohmann::ordered_json&)>& change);
void forge_checkpoint(const std::string& path, const std::function<void(nlohmann::json&)>& change);
/// The only file whose path contains `part`, below `dir`.
std::string find(const std::string& dir, const std::string& part);
std::string checkpoint_manifest();  // of the newest checkpoint of run/
std::string safetensors(const std::string& header, size_t data_bytes);

}  // namespace cllm::testing
