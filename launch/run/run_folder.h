#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "launch/config/config.h"

namespace cllm {

/// Where a run's files are. Layout: launch/README.md.
class RunFolder {
 public:
  explicit RunFolder(std::filesystem::path dir) : dir_(std::move(dir)) {}

  std::filesystem::path checkpoints() const { return dir_ / "checkpoints"; }
  std::filesystem::path config() const { return dir_ / "config.toml"; }
  std::filesystem::path result() const { return dir_ / "result.json"; }
  std::filesystem::path inputs() const { return dir_ / "inputs.json"; }
  std::filesystem::path heartbeats() const { return dir_ / "heartbeats"; }
  const std::filesystem::path& dir() const { return dir_; }

  /// Makes the folder and stores the resolved configuration. ConfigError if the folder cannot be written, or holds
  /// checkpoints of another configuration (names the first keys that differ) and `fresh` is not set; `fresh` removes
  /// them. Rank 0.
  void prepare(const RunConfig& config, bool fresh) const;
  /// The stored configuration; ConfigError if `dir` is no run folder.
  RunConfig load_config() const;
  /// What a run is trained on, by fingerprints; "": none.
  struct Inputs {
    std::string corpus, backbone, other_run;  // backbone: its frozen weights; other_run: what the run learns from
  };
  /// Notes it. ConfigError if checkpoints are there already, of another corpus (their rows are of other users and
  /// items), another backbone or another run to learn from. Rank 0.
  void bind_inputs(const Inputs& inputs) const;
  /// Of the corpus that the run was trained on; "" if a version wrote it that did not note it.
  std::string corpus_fingerprint() const { return input("corpus"); }
  std::string backbone_fingerprint() const { return input("backbone"); }
  /// ConfigError if the run is known to be of another backbone than that of `config`.
  void check_backbone(const std::string& fingerprint, const RunConfig& config) const;
  /// ConfigError if the run is known to be of another corpus.
  void check_corpus(const std::string& fingerprint, const std::string& path) const;
  /// result.json: metrics of the best state.
  void write_result(const std::map<std::string, double>& test, int64_t step) const;

 private:
  /// Of inputs.json; "" if it is not there.
  std::string input(const std::string& name) const;

  std::filesystem::path dir_;
};

}  // namespace cllm
