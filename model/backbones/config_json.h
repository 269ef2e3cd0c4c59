#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace cllm {

/// A backbone's `<dir>/config.json` with checked access to its keys. Every defect is a ModelError of one line: file,
/// key, value, what is expected.
class ConfigJson {
 public:
  explicit ConfigJson(const std::string& dir);
  /// The same file with another value.
  ConfigJson with(const char* key, int64_t value) const;
  /// What stands for it elsewhere: `path` for messages.
  ConfigJson(const std::string& path, nlohmann::json json) : dir_(path), path_(path), json_(std::move(json)) {}

  const std::string& dir() const { return dir_; }
  const nlohmann::json& json() const { return json_; }
  bool given(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  [[noreturn]] void refuse(const char* key, const std::string& expected) const;
  /// A whole number from 1 to `max`; by default far above every model, and small enough that no product of two
  /// overflows.
  int64_t count(const char* key, int64_t max = kMaxSize) const;
  /// A number in [low, high), or `otherwise` if there is none.
  double number(const char* key, double low, double high, double otherwise) const;
  std::string text(const char* key, const std::string& otherwise) const;
  /// Refuses a switch that would change the mathematics in a way that is not written here.
  void expect_flag(const char* key, bool value) const;

  static constexpr int64_t kMaxSize = (int64_t{1} << 31) - 1;

 private:
  std::string dir_, path_;
  nlohmann::json json_;
};

}  // namespace cllm
