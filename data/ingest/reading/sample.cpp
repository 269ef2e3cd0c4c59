#include "data/ingest/reading/sample.h"

#include <algorithm>

#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

/// Files of one folder may differ: what is UTF-8 as it is, and not only ASCII, is not recoded.
bool is_utf8_already(const std::filesystem::path& path) {
  LineReader lines(path);
  std::string_view line;
  bool beyond_ascii = false;
  for (size_t rows = 0; rows < kSampleRows && lines.next(line); ++rows) {
    if (!is_utf8(line)) return false;
    beyond_ascii = beyond_ascii || std::any_of(line.begin(), line.end(), [](char c) { return (c & 0x80) != 0; });
  }
  return beyond_ascii;
}

}  // namespace

ReadingOptions reading_of(const std::filesystem::path& path, const ReadingOptions& wanted, ProblemLog& log) {
  ReadingOptions reading = wanted;
  const FileKind* const kind = kind_of_file(path);
  if (reading.encoding.empty() || kind == nullptr || kind->columnar || !is_utf8_already(path)) return reading;
  log.note(path.filename().string() + ": is UTF-8, and read as such, not as " + reading.encoding);
  reading.encoding.clear();
  return reading;
}

Sample read_sample(const std::filesystem::path& path, const ReadingOptions& options, size_t min_columns) {
  RecordReader records(path, options, min_columns);
  constexpr size_t kMaxBytes = size_t{8} << 20;
  Sample sample;
  for (size_t bytes = 0; sample.size() < kSampleRows && bytes < kMaxBytes && records.next();) {
    if (records.is_blank() || records.broken()) continue;
    bytes += records.row_bytes();
    if (records.is_json()) {
      sample.push_back({std::string(records.line())});
    } else {
      sample.emplace_back(records.cells().begin(), records.cells().end());
    }
  }
  return sample;
}

}  // namespace cllm
