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
  constexpr size_t kMost = size_t{1} << 16;  // of Origin
  const auto [at, is_new] = numbers_.emplace(file.string(), files_.size());
  if (first_time != nullptr) *first_time = is_new;
  if (is_new) files_.push_back(file);
  if (files_.size() > kMost) throw DataError(file.string() + ": more than 65,536 files; join some of them");
  return at->second;
}

std::string ProblemLog::where(Origin origin) const {
  return files_.at(origin.file).filename().string() + ":" + std::to_string(origin.line);
}

ProblemLog::OfFile& ProblemLog::of(Origin origin) {
  if (by_file_.size() <= origin.file) by_file_.resize(origin.file + 1);
  return by_file_[origin.file];
}

void ProblemLog::count_row(Origin origin) {
  ++rows_;
  ++of(origin).rows;
}

void ProblemLog::add(Problem problem, Origin origin, const std::string& detail) {
  for (Tallies* tallies : {&tallies_, &of(origin).tallies}) {
    Tally& tally = (*tallies)[static_cast<size_t>(problem)];
    ++tally.count;
    if (tally.examples.size() < kExamples) tally.examples.push_back(where(origin) + ": " + detail);
  }
}

void ProblemLog::note(const std::string& text) {
  if (std::ranges::find(notes_, text) == notes_.end()) notes_.push_back(text);
}

void ProblemLog::add_hint(const std::string& hint) {
  if (std::ranges::find(hints_, hint) == hints_.end()) hints_.push_back(hint);
}

uint64_t ProblemLog::bad_rows_of(const Tallies& tallies) {
  uint64_t sum = 0;
  for (const Tally& tally : tallies) sum += tally.count;
  return sum;
}

void ProblemLog::check(double limit, const std::string& remedy) const {
  const auto too_many = [&](uint64_t bad, uint64_t rows) {
    return static_cast<double>(bad) > limit * static_cast<double>(rows);
  };
  if (too_many(bad_rows(), rows_)) refuse(tallies_, std::to_string(rows_) + " input rows", limit, remedy);
  for (size_t file = 0; file < by_file_.size(); ++file) {
    const auto& [rows, tallies] = by_file_[file];
    const uint64_t bad = bad_rows_of(tallies);
    if (!too_many(bad, rows) || (bad <= kFew && bad * 2 < rows)) continue;
    refuse(tallies, std::to_string(rows) + " rows of " + files_[file].filename().string(), limit, remedy);
  }
}

void ProblemLog::refuse(const Tallies& tallies, const std::string& rows, double limit,
                        const std::string& remedy) const {
  std::string message = std::to_string(bad_rows_of(tallies)) + " of " + rows +
                        " are bad, more than the error limit of " + std::to_string(limit * 100).substr(0, 5) + " %: ";
  for (size_t n = 0; n < kNumProblems; ++n) {
    if (tallies[n].count == 0) continue;
    message += std::to_string(tallies[n].count) + " x " + std::string(name(static_cast<Problem>(n))) + " (";
    for (const std::string& example : tallies[n].examples) message += example + "; ";
    message.replace(message.size() - 2, 2, "), ");
  }
  message.resize(message.size() - 2);
  message += "; " + remedy;
  for (const std::string& hint : hints_) message += " (" + hint + ")";
  throw DataError(message);
}

}  // namespace cllm
