#include "launch/output/append_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace cllm {

AppendFile::AppendFile(std::string path, uint64_t keep_bytes)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "ab")) {
  if (!file_) fail("cannot open");
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path_, error);
  if (!error) std::filesystem::resize_file(path_, std::min<uint64_t>(size, keep_bytes), error);
  if (error) {
    std::fclose(file_);
    throw std::system_error(error, path_ + ": cannot cut to the resumed step");
  }
}

AppendFile::~AppendFile() { std::fclose(file_); }

void AppendFile::write(const std::string& bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail("cannot write");
}

void AppendFile::flush() {
  if (std::fflush(file_) != 0) fail("cannot write");
}

void AppendFile::sync() {
  flush();
  if (fsync(fileno(file_)) != 0) fail("cannot sync");
}

void AppendFile::fail(const char* what) const {
  throw std::system_error(errno, std::generic_category(),
                          path_ + ": " + what + " (make room, or choose another run.dir)");
}

std::string read_whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_whole_file(const std::string& path, const std::string& bytes) {
  const std::string temporary = path + ".tmp";
  AppendFile file(temporary, 0);
  file.write(bytes);
  file.sync();
  std::filesystem::rename(temporary, path);
}

}  // namespace cllm
