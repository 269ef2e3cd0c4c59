#include "data/ingest/reading/problems.h"

#include <algorithm>

#include "data/errors.h"

namespace cllm {

std::string_view ProblemLog::name(Problem problem) {
  static constexpr std::array<std::string_view, kNumProblems> kNames = {"wrong column count",
                                                                        "not a JSON object",
                                                                        "not UTF-8",
                                                                        "empty or overlong id",
                                                                        "bad number",
                                                                        "unknown id",
                                                                        "duplicate",
                                                                        "not in the split file",
                                                                        "in the split file only"};
  return kNames[static_cast<size_t>(problem)];
}

uint64_t ProblemLog::open(const std::filesystem::path& file, bool* first_time) {
  const auto at = std::find(files_.begin(), files_.end(), file);
  if (first_time != nullptr) *first_time = at == files_.end();
  const auto number = static_cast<uint64_t>(at - files_.begin());
  if (at == files_.end()) files_.push_back(file);
  return number;
}

std::string ProblemLog::where(Origin origin) const {
  return files_.at(origin.file).filename().string() + ":" + std::to_string(origin.line);
}

void ProblemLog::add(Problem problem, Origin origin, const std::string& detail) {
  Tally& tally = tallies_[static_cast<size_t>(problem)];
  ++tally.count;
  if (tally.examples.size() < kExamples) tally.examples.push_back(where(origin) + ": " + detail);
}

void ProblemLog::note(const std::string& text) {
  if (std::find(notes_.begin(), notes_.end(), text) == notes_.end()) notes_.push_back(text);
}

uint64_t ProblemLog::bad_rows() const {
  uint64_t sum = 0;
  for (const Tally& tally : tallies_) sum += tally.count;
  return sum;
}

void ProblemLog::check(double limit) const {
  const uint64_t bad = bad_rows();
  if (static_cast<double>(bad) <= limit * static_cast<double>(rows_)) return;
  std::string message = std::to_string(bad) + " of " + std::to_string(rows_) +
                        " input rows are bad, more than the error limit of " +
                        std::to_string(limit * 100).substr(0, 5) + " %: ";
  for (size_t n = 0; n < kNumProblems; ++n) {
    if (tallies_[n].count == 0) continue;
    message += std::to_string(tallies_[n].count) + " x " + std::string(name(static_cast<Problem>(n))) + " (";
    for (const std::string& example : tallies_[n].examples) message += example + "; ";
    message.replace(message.size() - 2, 2, "), ");
  }
  message.resize(message.size() - 2);
  const bool repeats = tally(Problem::kDuplicate).count > 0;
  throw DataError(message + "; mend the files or raise the error limit" + (hint_.empty() ? "" : " (" + hint_ + ")") +
                  (repeats ? " (repeated events are normal? merge duplicates)" : ""));
}

}  // namespace cllm
