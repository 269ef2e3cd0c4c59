#include "launch/supervision/heartbeat.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace cllm {

namespace fs = std::filesystem;

fs::path HeartbeatBoard::file_of(int rank) const { return dir_ / ("rank-" + std::to_string(rank)); }

void HeartbeatBoard::clear() const {
  std::error_code ignored;
  fs::remove_all(dir_, ignored);
  fs::create_directories(dir_, ignored);
}

void HeartbeatBoard::write(const Heartbeat& mine) const {
  const nlohmann::json json{{"rank", mine.rank},           {"beat", mine.beat},
                            {"step", mine.step},           {"work", mine.work},
                            {"operation", mine.operation}, {"collectives", mine.num_collectives},
                            {"elapsed_s", mine.elapsed_s}, {"reported", mine.reported}};
  const fs::path file = file_of(mine.rank), draft = file.string() + ".new";  // so that nobody reads half a heartbeat
  std::ofstream(draft, std::ios::binary | std::ios::trunc) << json.dump() << '\n';
  std::error_code ignored;
  fs::rename(draft, file, ignored);
}

std::optional<Heartbeat> HeartbeatBoard::read(int rank) const {
  std::ifstream file(file_of(rank));
  const auto json = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  return Heartbeat{rank,
                   json.value("beat", int64_t{0}),
                   json.value("step", int64_t{0}),
                   json.value("work", ""),
                   json.value("operation", ""),
                   json.value("collectives", int64_t{0}),
                   json.value("elapsed_s", 0.0),
                   json.value("reported", false)};
}

void HeartbeatBoard::raise_alarm(int rank) const { std::ofstream(dir_ / "alarm") << rank << '\n'; }

bool HeartbeatBoard::alarm() const {
  std::error_code ignored;
  return fs::exists(dir_ / "alarm", ignored);
}

}  // namespace cllm
