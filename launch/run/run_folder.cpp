#include "launch/run/run_folder.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/failures/errors.h"
#include "launch/output/append_file.h"

namespace cllm {
namespace {

/// Up to three lines that are in `now` and not in `before`.
std::string difference(const std::string& before, const std::string& now) {
  std::istringstream lines(now);
  std::string out;
  int shown = 0;
  for (std::string line; std::getline(lines, line) && shown < 3;) {
    if (("\n" + before).find("\n" + line + "\n") != std::string::npos) continue;
    out += (shown++ > 0 ? ", " : "") + line;
  }
  return out;
}

}  // namespace

void RunFolder::prepare(const RunConfig& config, bool fresh) const {
  std::error_code error;
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

void RunFolder::write_result(const std::map<std::string, double>& test, int64_t step) const {
  write_whole_file(result(), nlohmann::json{{"best_step", step}, {"test", test}}.dump(2) + "\n");
}

}  // namespace cllm
