#include "launch/output/metrics.h"

#include <charconv>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "data/errors.h"
#include "launch/output/append_file.h"
#include "launch/output/tensorboard.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using Values = std::vector<std::pair<std::string, double>>;
using Json = nlohmann::ordered_json;

/// Shortest text that reads back as the same double; JSON has no NaN or infinity, so those become null.
std::string json_number(double value) {
  if (!std::isfinite(value)) return "null";
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

std::string json_line(const MetricsRecord& record, const Values& values) {
  std::string line = "{\"step\": " + std::to_string(record.step) + ", \"stage\": " + Json(record.stage).dump() +
                     ", \"event\": " + Json(record.event).dump();
  for (const auto& [name, value] : values) line += ", " + Json(name).dump() + ": " + json_number(value);
  return line + "}\n";
}

MetricsRecord parse_line(const std::string& line) {
  const Json json = Json::parse(line);
  MetricsRecord record{.step = json.at("step"), .stage = json.at("stage"), .event = json.at("event"), .values = {}};
  for (const auto& [name, value] : json.items()) {
    if (name == "step" || name == "stage" || name == "event") continue;
    record.values.emplace_back(name, value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>());
  }
  return record;
}

/// Reads the whole lines of a JSONL file until `use` returns false; returns the number of bytes before that line.
template <typename Use>
uint64_t for_each_record(const std::string& path, Use use) {
  const std::string text = read_whole_file(path);
  size_t start = 0;
  for (int64_t number = 1; start < text.size(); ++number) {
    const size_t end = text.find('\n', start);
    if (end == std::string::npos) break;  // cut by a crash
    try {
      if (!use(parse_line(text.substr(start, end - start)))) break;
    } catch (const nlohmann::json::exception& error) {
      throw DataError(path + ":" + std::to_string(number) + ": not a metrics record: " + error.what());
    }
    start = end + 1;
  }
  return start;
}

std::unique_ptr<AppendFile> open_jsonl(const fs::path& path, std::optional<int64_t> resume_step) {
  const auto keep =
      resume_step ? for_each_record(path, [&](const auto& record) { return record.step <= *resume_step; }) : 0;
  return std::make_unique<AppendFile>(path, keep);
}

double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::unique_ptr<AppendFile> open_events(const fs::path& path, std::optional<int64_t> resume_step) {
  fs::create_directories(path.parent_path());
  const uint64_t keep = resume_step ? events_up_to(read_whole_file(path), *resume_step) : 0;
  auto file = std::make_unique<AppendFile>(path, keep);
  if (keep == 0) file->write(tfrecord(first_event(wall_time_s())));
  return file;
}

}  // namespace

struct MetricsWriter::Impl {
  using Key = std::tuple<int64_t, std::string, std::string>;
  std::set<Key> known;  // records of the resumed step, which the run may come across again
  std::unique_ptr<AppendFile> metrics, timing, events;
};

MetricsWriter::MetricsWriter(const std::string& dir, const MetricsOptions& options, std::optional<int64_t> resume_step)
    : impl_(std::make_unique<Impl>()) {
  const fs::path folder = dir;
  fs::create_directories(folder);
  if (options.jsonl) {
    impl_->metrics = open_jsonl(folder / "metrics.jsonl", resume_step);
    impl_->timing = open_jsonl(folder / "timing.jsonl", resume_step);
    for (const auto& record : read_metrics(folder / "metrics.jsonl")) {
      if (record.step == resume_step) impl_->known.emplace(record.step, record.stage, record.event);
    }
  }
  if (options.tensorboard)
    impl_->events = open_events(folder / "tensorboard" / "events.out.tfevents.cllm4rec", resume_step);
}

MetricsWriter::~MetricsWriter() = default;

void MetricsWriter::write(const MetricsRecord& record) {
  if (impl_->known.contains({record.step, record.stage, record.event})) return;
  if (impl_->metrics && !record.values.empty()) impl_->metrics->write(json_line(record, record.values));
  if (impl_->timing && !record.timing.empty()) impl_->timing->write(json_line(record, record.timing));
  if (!impl_->events) return;
  Values tagged;
  for (const Values* values : {&record.values, &record.timing}) {
    for (const auto& [name, value] : *values)
      tagged.emplace_back(record.stage + "/" + record.event + "/" + name, value);
  }
  impl_->events->write(tfrecord(scalar_event(wall_time_s(), record.step, tagged)));
}

void MetricsWriter::flush() {
  for (auto* file : {&impl_->metrics, &impl_->timing, &impl_->events}) {
    if (*file) (*file)->sync();
  }
}

std::vector<MetricsRecord> read_metrics(const std::string& path) {
  std::vector<MetricsRecord> records;
  for_each_record(path, [&](MetricsRecord record) {
    records.push_back(std::move(record));
    return true;
  });
  return records;
}

}  // namespace cllm
