#include "launch/output/sample_log.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "launch/output/append_file.h"

namespace cllm {
namespace {

/// Bytes of the whole lines whose step is not beyond `last_step`.
uint64_t bytes_up_to(const std::string& text, int64_t last_step) {
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    int64_t step = 0;
    std::from_chars(text.data() + begin, text.data() + end, step);
    if (step > last_step) break;
  }
  return begin;
}

std::string packed(const std::vector<uint64_t>& keys) {
  return {reinterpret_cast<const char*>(keys.data()), keys.size() * sizeof(uint64_t)};
}

std::vector<uint64_t> unpacked(const std::vector<std::string>& of_ranks) {
  std::vector<uint64_t> keys;
  for (const std::string& bytes : of_ranks) {
    const size_t before = keys.size();
    keys.resize(before + bytes.size() / sizeof(uint64_t));
    if (!bytes.empty()) std::memcpy(keys.data() + before, bytes.data(), bytes.size());
  }
  return keys;
}

}  // namespace

SampleLog::SampleLog(Communicator& comm, const std::string& dir, std::optional<int64_t> resume_step) : comm_(comm) {
  if (comm.rank() != 0) return;
  const std::string path = dir + "/samples.txt";
  file_ = std::make_unique<AppendFile>(path, resume_step ? bytes_up_to(read_whole_file(path), *resume_step) : 0);
}

SampleLog::~SampleLog() = default;

void SampleLog::add(int64_t step, const std::vector<uint64_t>& keys_of_rank) {
  std::vector<uint64_t> keys = unpacked(all_gather_strings(comm_, packed(keys_of_rank)));
  if (!file_) return;
  std::ranges::sort(keys);
  std::string line = std::to_string(step);
  for (const uint64_t key : keys) {
    char text[16];
    line.append(1, ' ').append(text, std::to_chars(text, text + sizeof text, key, 16).ptr);
  }
  file_->write(line + '\n');
}

void SampleLog::flush() {
  if (file_) file_->sync();
}

}  // namespace cllm
