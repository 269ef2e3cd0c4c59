#include "checkpoints/format/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "checkpoints/errors.h"
#include "checkpoints/format/descriptor.h"

namespace cllm {
namespace {

using std::filesystem::path;

[[noreturn]] void fail(const char* call, const path& where, int error = errno) {
  throw CheckpointError(CheckpointError::kCannotSave,
                        std::string("cannot ") + call + " " + where.string() + ": " + std::strerror(error));
}

/// The result of a system call, made again as long as a signal interrupts it.
template <typename Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

Descriptor open_or_fail(const path& where, int flags) {
  Descriptor file(uninterrupted([&] { return ::open(where.c_str(), flags | O_CLOEXEC, 0644); }));
  if (file.get() < 0) fail("open", where);
  return file;
}

}  // namespace

void Files::create_directory(const path& where) {
  if (::mkdir(where.c_str(), 0755) != 0) fail("create directory", where);
}

Descriptor Files::create_file(const path& where) { return open_or_fail(where, O_WRONLY | O_CREAT | O_TRUNC); }

void Files::append(const Descriptor& file, const path& where, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = uninterrupted([&] { return ::write(file.get(), bytes.data(), bytes.size()); });
    if (count <= 0) fail("write", where, count == 0 ? EIO : errno);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void Files::start_writeback(const Descriptor& file) {
  ::sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);  // a hint: sync_file reports what goes wrong
}

void Files::sync_file(const path& where) {
  const Descriptor file = open_or_fail(where, O_WRONLY);
  if (uninterrupted([&] { return ::fsync(file.get()); }) != 0) fail("fsync", where);
}

void Files::sync_directory(const path& where) {
  const Descriptor directory = open_or_fail(where, O_RDONLY | O_DIRECTORY);
  if (uninterrupted([&] { return ::fsync(directory.get()); }) != 0) fail("fsync directory", where);
}

void Files::link(const path& from, const path& to) {
  if (::link(from.c_str(), to.c_str()) != 0) fail("link", from);
}

void Files::rename(const path& from, const path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail("rename", from);
}

bool Files::exchange(const path& one, const path& other) {
  if (::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS || errno == ENOTSUP) return false;
  fail("exchange", one);
}

void Files::remove_tree(const path& where) {
  std::error_code error;
  std::filesystem::remove_all(where, error);
  if (error) fail("remove", where, error.value());
}

void write_file(Files& files, const path& where, std::string_view bytes) {
  files.append(files.create_file(where), where, bytes);
}

void replace_file(Files& files, const path& where, std::string_view bytes) {
  const path draft = where.string() + ".tmp";
  write_file(files, draft, bytes);
  files.sync_file(draft);
  files.rename(draft, where);
  files.sync_directory(where.parent_path());
}

}  // namespace cllm
