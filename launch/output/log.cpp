#include "launch/output/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

namespace cllm {

struct Log::Impl {
  int rank;
  int world_size;
  std::mutex mutex;
  std::string file;  // waiting to be opened by the first line
  spdlog::logger logger;

  Impl(int rank_, int world_size_) : rank(rank_), world_size(world_size_), logger("cllm4rec") {
    auto terminal = std::make_shared<spdlog::sinks::stderr_sink_st>();
    // "\r, erase line" wipes a progress line that stands there; the next update draws it again.
    terminal->set_pattern(writes_to_terminal() ? "\r\x1b[K%H:%M:%S %v" : "%H:%M:%S %v");
    logger.sinks().push_back(terminal);
    logger.flush_on(spdlog::level::info);
  }

  void write(spdlog::level::level_enum level, const std::string& line) {
    const std::lock_guard lock(mutex);
    if (!file.empty()) open_file();
    const std::string who =
        world_size > 1 && level != spdlog::level::info ? "[rank " + std::to_string(rank) + "] " : "";
    const std::string what = level == spdlog::level::warn ? "warning: " : level == spdlog::level::err ? "error: " : "";
    logger.log(level, spdlog::string_view_t(who + what + line));
  }

  void open_file() {
    const std::string path = std::exchange(file, "");
    try {
      if (logger.sinks().size() > 1) logger.sinks().pop_back();
      auto sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(path);
      sink->set_pattern("%Y-%m-%d %H:%M:%S.%e %v");
      logger.sinks().push_back(sink);
    } catch (const spdlog::spdlog_ex& error) {
      logger.warn(std::string("warning: no log file: ") + error.what());
    }
  }
};

Log::Log(int rank, int world_size) : impl_(std::make_unique<Impl>(rank, world_size)) {}
Log::~Log() = default;

void Log::attach_file(const std::string& dir) {
  const std::string name = impl_->rank == 0 ? "train.log" : "train.rank" + std::to_string(impl_->rank) + ".log";
  const std::lock_guard lock(impl_->mutex);
  impl_->file = std::filesystem::path(dir) / name;
}

void Log::be_quiet(bool quiet) {
  const std::lock_guard lock(impl_->mutex);
  impl_->logger.sinks().front()->set_level(quiet ? spdlog::level::warn : spdlog::level::trace);
}

void Log::info(const std::string& line) {
  if (impl_->rank == 0) impl_->write(spdlog::level::info, line);
}
void Log::warn(const std::string& line) { impl_->write(spdlog::level::warn, line); }
void Log::error(const std::string& line) { impl_->write(spdlog::level::err, line); }

bool writes_to_terminal() {
  if (std::getenv("OMPI_COMM_WORLD_RANK") == nullptr) return isatty(STDERR_FILENO) != 0;
  std::error_code failed;
  const auto target = std::filesystem::read_symlink("/proc/" + std::to_string(getppid()) + "/fd/2", failed);
  return !failed && (target.native().starts_with("/dev/pts/") || target.native().starts_with("/dev/tty"));
}

}  // namespace cllm
