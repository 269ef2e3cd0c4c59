#include "launch/run/run_folder.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "launch/failures/errors.h"
#include "launch/output/append_file.h"

namespace cllm {
namespace {

/// Lines of TOML with their sections: "mutual.epochs = 4".
std::vector<std::string> lines_of(const std::string& toml) {
  std::istringstream in(toml);
  std::vector<std::string> out;
  std::string section;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('[') && line.ends_with(']')) {
      section = line.substr(1, line.size() - 2) + ".";
    } else if (!line.empty()) {
      out.push_back(section + line);
    }
  }
  return out;
}

/// Paths are no part of what makes two configurations differ.
constexpr const char* kPaths[] = {"run.dir = ", "run.corpus = ", "run.backbone = "};

/// Up to three lines that are in `now` and not in `before`, without paths.
std::string difference(const std::string& before, const std::string& now) {
  const std::vector<std::string> old = lines_of(before);
  std::string out;
  int shown = 0;
  for (const std::string& line : lines_of(now)) {
    if (shown == 3 || std::ranges::find(old, line) != old.end()) continue;
    if (std::ranges::any_of(kPaths, [&](const char* key) { return line.starts_with(key); })) continue;
    out += (shown++ > 0 ? ", " : "") + line;
  }
  return out;
}

}  // namespace

void RunFolder::prepare(const RunConfig& config, bool fresh) const {
  if (std::error_code none; !config.init.run.empty() && std::filesystem::equivalent(config.init.run, dir_, none)) {
    throw ConfigError("init.run: " + config.init.run +
                      " is this run itself, which goes on from its last checkpoint: leave init.run out, or choose "
                      "another run.dir");
  }
  std::error_code error;
  for (const char* const own : {"README.md", "card.json", "result.json", "metrics.jsonl", "report.html"}) {
    if (!std::filesystem::exists(this->config(), error) && std::filesystem::exists(dir_ / own, error))
      throw ConfigError("run.dir " + dir_.string() + " is no run and has a " + own +
                        ", which a run would replace: choose another run.dir");
  }
  if (fresh) std::filesystem::remove_all(checkpoints(), error);
  std::filesystem::create_directories(checkpoints(), error);
  if (error) throw ConfigError("cannot make run.dir " + checkpoints().string() + ": " + error.message());
  const std::string text = to_toml(config);
  if (std::filesystem::exists(this->config()) && !std::filesystem::is_empty(checkpoints())) {
    const RunConfig before = load_config();
    if (config_digest(before) != config_digest(config)) {
      throw ConfigError("run.dir " + dir_.string() +
                        " holds a run of another configuration (changed: " + difference(to_toml(before), text) +
                        "): restore it, choose another run.dir, or start over with --fresh");
    }
  }
  write_whole_file(this->config(), text);
}

RunConfig RunFolder::load_config() const {
  if (!std::filesystem::exists(config())) {
    throw ConfigError(dir_.string() + " is no run folder: " + config().string() +
                      " is missing; name the run.dir of `cllm4rec train`");
  }
  return cllm::load_config(config().string(), {});
}

std::string RunFolder::input(const std::string& name) const {
  std::ifstream in(inputs());
  if (!in) return "";
  const auto json = nlohmann::json::parse(in, nullptr, false);
  return json.is_object() && json.contains(name) && json[name].is_string() ? json[name].get<std::string>() : "";
}

void RunFolder::check_corpus(const std::string& fingerprint, const std::string& path) const {
  const std::string known = corpus_fingerprint();
  if (known.empty() || known == fingerprint) return;
  throw ConfigError(path + " is not the corpus that " + dir_.string() + " was trained on (fingerprint " + fingerprint +
                    ", of the run " + known + "): its rows are of other users and items; name that corpus");
}

void RunFolder::check_backbone(const std::string& fingerprint, const RunConfig& config) const {
  const std::string known = backbone_fingerprint();
  if (known.empty() || known == fingerprint) return;
  throw ConfigError("run.backbone = " + value_of(config, "run.backbone") +
                    " has other weights than the backbone that " + dir_.string() + " was trained on (fingerprint " +
                    fingerprint + ", of the run " + known + "): its rows mean nothing to it; name that backbone");
}

void RunFolder::bind_inputs(const Inputs& inputs) const {
  if (!std::filesystem::is_empty(checkpoints())) {
    check_corpus(inputs.corpus, "run.corpus");
    check_backbone(inputs.backbone, load_config());
    if (const std::string known = input("other_run"); known != inputs.other_run)
      throw ConfigError(dir_.string() + " learned from another state of teacher.model (" + known + ", now " +
                        inputs.other_run + "): put that back, or start over with --fresh");
  }
  nlohmann::json json{{"corpus", inputs.corpus}};
  if (!inputs.backbone.empty()) json["backbone"] = inputs.backbone;
  if (!inputs.other_run.empty()) json["other_run"] = inputs.other_run;
  write_whole_file(this->inputs(), json.dump() + "\n");
}

void RunFolder::write_result(const std::map<std::string, double>& test, int64_t step) const {
  write_whole_file(result(), nlohmann::json{{"best_step", step}, {"test", test}}.dump(2) + "\n");
}

}  // namespace cllm
