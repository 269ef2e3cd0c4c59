#include "launch/card/card.h"

#include <commit.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "launch/config/paths.h"
#include "launch/output/append_file.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json data_of(const Workspace& workspace) {
  const Corpus& corpus = workspace.corpus;
  const Json manifest = Json::parse(corpus.manifest());
  Json out{{"corpus", workspace.config.run.corpus},
           {"fingerprint", corpus.fingerprint()},
           {"users", corpus.vocabulary().num_users},
           {"items", corpus.vocabulary().num_items},
           {"texts", corpus.num_texts()}};
  for (int part = 0; part < kNumParts; ++part)
    out["interactions"][std::string(kPartNames[part])] = corpus.num_interactions(static_cast<Part>(part));
  for (const char* key : {"input", "split", "split_shares", "seed", "rating_threshold", "k_core", "min_history"}) {
    if (manifest.at("options").contains(key)) out[key] = manifest.at("options").at(key);
  }
  if (!corpus.ancestors().empty()) out["extends"] = corpus.ancestors()[0].fingerprint;
  return out;
}

Json sizes_of(const Workspace& workspace) {
  const Store store = workspace.model->store();
  Json out;
  int64_t all = 0;
  const auto add = [&](const std::string& name, int64_t numbers) {
    out[name] = numbers;
    all += numbers;
  };
  for (const NamedTable& named : store.tables)
    add("parameters of table " + named.name, named.table->layout.num_rows() * named.table->width());
  int64_t dense = 0;
  for (const NamedDense& named : store.dense) dense += named.adam->num_parameters();
  add("dense", dense);
  out["all trained"] = all;
  return out;
}

Json results_of(const TrainOutcome& outcome) {
  Json out = Json::object();
  for (const auto& [name, value] : outcome.test) {
    out[name]["value"] = value;
    const auto interval = outcome.intervals.find(name);
    if (interval != outcome.intervals.end()) out[name]["95 %"] = {interval->second.low, interval->second.high};
  }
  return out;
}

Json baselines_of(const Baselines& baselines) {
  Json out = Json::object();
  for (const auto& [name, baseline] : baselines)
    out[name] = baseline.not_run.empty() ? Json(baseline.values) : Json("not run: " + baseline.not_run);
  return out;
}

std::string backbone_of(const RunConfig& config) {
  RunConfig copy = config;
  for (const Setting& setting : all_settings(copy)) {
    if (setting.key == "run.backbone") return *std::get<std::string*>(setting.target);
  }
  return "";
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

std::string word(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string rows(const Json& values) {
  std::string out;
  for (const auto& [key, value] : values.items()) {
    if (!value.is_null()) out += "* " + key + ": " + word(value) + "\n";
  }
  return out;
}

}  // namespace

std::string licence_of(const std::string& backbone) {
  std::ifstream readme(fs::path(backbone) / "README.md");
  bool in_header = false;
  for (std::string line; std::getline(readme, line);) {
    if (line == "---" && in_header) break;
    if (line == "---") in_header = true;
    if (in_header && line.starts_with("license:")) return line.substr(line.find_first_not_of(' ', 8));
    if (!in_header) break;
  }
  for (const char* name : {"LICENSE", "LICENSE.txt", "LICENSE.md"}) {
    std::ifstream file(fs::path(backbone) / name);
    for (std::string line; std::getline(file, line);) {
      const size_t first = line.find_first_not_of(" \t#\r");
      if (first != std::string::npos) return line.substr(first) + " (" + name + ")";
    }
  }
  return "not stated in its folder: look where it came from before you pass the run on";
}

Json card_of(const Workspace& workspace, const TrainOutcome& outcome, int world_size) {
  const RunConfig& config = workspace.config;
  const bool validated = workspace.corpus.num_interactions(Part::kValidation) > 0;
  Json out{{"format", "cllm4rec-card"},
           {"version", 1},
           {"program", {{"version", CLLM_VERSION}, {"commit", CLLM_COMMIT}}},
           {"model", config.model},
           {"data", data_of(workspace)},
           {"sizes", sizes_of(workspace)},
           {"training",
            {{"seed", config.run.seed},
             {"precision", config.run.precision},
             {"ranks", world_size},
             {"steps", workspace.model->program().num_steps()},
             {"best_step", outcome.best_step},
             {"chosen_by", validated ? config.select() : "no validation: the last state"},
             {"configuration", "config.toml"}}}};
  if (!config.init.run.empty()) out["training"]["started_from"] = config.init.run;
  if (const std::string backbone = backbone_of(config); !backbone.empty())
    out["backbone"] = {{"path", backbone}, {"licence", licence_of(backbone)}};
  out["protocol"] = outcome.tested ? outcome.protocol : "not tested: no user has a test item";
  out["test"] = results_of(outcome);
  out["baselines"] = baselines_of(outcome.baselines);
  return out;
}

std::string readme_of(const Json& card) {
  const Json& data = card.at("data");
  std::string out = "# " + word(card.at("model")) + ", trained by cllm4rec\n\n";
  out += "Made by `cllm4rec train` (version " + word(card.at("program").at("version")) + ", commit " +
         word(card.at("program").at("commit")) + "). `card.json` holds the same for programs.\n\n## Test\n\n";
  if (card.at("test").empty()) {
    out += word(card.at("protocol")) + "\n";
  } else {
    out += "| metric | value | 95 % of resamples of the users |";
    std::string line = "\n|---|---|---|";
    for (const auto& [name, values] : card.at("baselines").items()) {
      out += " " + name + " |";
      line += "---|";
    }
    out += line + "\n";
    for (const auto& [name, result] : card.at("test").items()) {
      out += "| " + name + " | " + number(result.at("value")) + " | ";
      if (result.contains("95 %")) out += number(result.at("95 %")[0]) + " to " + number(result.at("95 %")[1]);
      out += " |";
      for (const auto& [baseline, values] : card.at("baselines").items())
        out += values.is_object() && values.contains(name) ? " " + number(values.at(name)) + " |" : " not run |";
      out += "\n";
    }
    out += "\nThe intervals say how far the choice of users moves a mean, not what another seed does. Protocol: " +
           word(card.at("protocol")) + "\n";
  }
  out += "\n## Data\n\n" + rows(data) + "\n## Training\n\n" + rows(card.at("training")) + rows(card.at("sizes"));
  if (card.contains("backbone")) out += "\n## Backbone\n\n" + rows(card.at("backbone"));
  return out;
}

void write_card(const Workspace& workspace, const TrainOutcome& outcome, int world_size) {
  const Json card = card_of(workspace, outcome, world_size);
  const fs::path dir = workspace.config.run.dir;
  write_whole_file(dir / "card.json", card.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  write_whole_file(dir / "README.md", readme_of(card));
}

}  // namespace cllm
