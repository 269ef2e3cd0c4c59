#include "launch/output/baselines.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "data/errors.h"
#include "launch/output/append_file.h"

namespace cllm {
namespace {

constexpr std::string_view kNotRun = "not run: ";

std::filesystem::path baselines_path(const std::string& run_dir) {
  return std::filesystem::path(run_dir) / "baselines.json";
}

Baseline from_json(const nlohmann::json& json) {
  if (json.is_object()) return {.values = json.get<MetricValues>()};
  const auto text = json.get<std::string>();
  return {.not_run = text.starts_with(kNotRun) ? text.substr(kNotRun.size()) : text};
}

}  // namespace

void write_baselines(const std::string& run_dir, const Baselines& baselines) {
  nlohmann::json json = nlohmann::json::object();
  for (const auto& [model, baseline] : baselines) {
    if (baseline.not_run.empty()) {
      json[model] = baseline.values;
    } else {
      json[model] = std::string(kNotRun) + baseline.not_run;
    }
  }
  write_whole_file(baselines_path(run_dir), json.dump(2) + "\n");
}

Baselines read_baselines(const std::string& run_dir) {
  const std::string path = baselines_path(run_dir), text = read_whole_file(path);
  if (text.empty()) return {};
  try {
    Baselines out;
    for (const auto& [model, baseline] : nlohmann::json::parse(text).get<nlohmann::json::object_t>())
      out[model] = from_json(baseline);
    return out;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(path + ": not a list of baseline metrics: " + error.what());
  }
}

}  // namespace cllm
