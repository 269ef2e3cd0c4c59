#include "model/backbones/config_json.h"

#include <fstream>

#include "model/errors.h"

namespace cllm {
namespace {

using Json = nlohmann::json;

constexpr int kMaxJsonDepth = 64;  // printing a value for a message recurses

}  // namespace

ConfigJson::ConfigJson(const std::string& dir) : dir_(dir), path_(dir + "/config.json") {
  std::ifstream file(path_);
  if (!file) throw ModelError(path_ + ": cannot open; a backbone folder holds config.json and model.safetensors");
  try {
    json_ = Json::parse(file, [&](int depth, Json::parse_event_t, Json&) {
      if (depth > kMaxJsonDepth) throw ModelError(path_ + ": nested too deeply for a model's config.json");
      return true;
    });
  } catch (const Json::exception& error) {
    throw ModelError(path_ + ": not valid JSON (" + error.what() + ")");
  }
  if (!json_.is_object()) throw ModelError(path_ + ": not a JSON object");
}

ConfigJson ConfigJson::with(const char* key, int64_t value) const {
  ConfigJson out = *this;
  out.json_[key] = value;
  return out;
}

void ConfigJson::refuse(const char* key, const std::string& expected) const {
  throw ModelError(path_ + ": " + key + " is " + (json_.contains(key) ? json_[key].dump() : "missing") + ", expected " +
                   expected);
}

int64_t ConfigJson::count(const char* key, int64_t max) const {
  const bool good = given(key) && json_[key].is_number_integer() && json_[key].get<int64_t>() >= 1 &&
                    json_[key].get<int64_t>() <= max;
  if (!good) refuse(key, "a whole number from 1 to " + std::to_string(max));
  return json_[key].get<int64_t>();
}

double ConfigJson::number(const char* key, double low, double high, double otherwise) const {
  if (!given(key)) return otherwise;
  if (!json_[key].is_number() || json_[key].get<double>() < low || json_[key].get<double>() >= high) {
    refuse(key, "a number in [" + std::to_string(low) + ", " + std::to_string(high) + ")");
  }
  return json_[key].get<double>();
}

std::string ConfigJson::text(const char* key, const std::string& otherwise) const {
  if (!given(key)) return otherwise;
  if (!json_[key].is_string()) refuse(key, "a string");
  return json_[key].get<std::string>();
}

void ConfigJson::expect_flag(const char* key, bool value) const {
  if (given(key) && json_[key] != value) refuse(key, value ? "true" : "false");
}

}  // namespace cllm
