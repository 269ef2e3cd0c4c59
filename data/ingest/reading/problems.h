#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cllm {

/// What can be wrong with one row of input. The row is left out and counted.
enum class Problem { kColumns, kJson, kUtf8, kId, kNumber, kUnknownId, kDuplicate, kNotInSplit, kSplitOnly };
inline constexpr size_t kNumProblems = 9;

/// A row of an input file; 1-based line, the first one of a row that spans several.
struct Origin {
  uint64_t line : 48 = 0;
  uint64_t file : 16 = 0;
};

/// Counts the bad rows of all files, keeps the first few of each kind, and decides whether there are too many.
class ProblemLog {
 public:
  static constexpr size_t kExamples = 3;  // kept per kind
  static constexpr uint64_t kFew = 3;

  struct Tally {
    uint64_t count = 0;
    std::vector<std::string> examples;  // "file:line: detail"
  };

  /// Number of a file, for Origin. Files are named by their last component; first_time is false when the file was
  /// opened before.
  uint64_t open(const std::filesystem::path& file, bool* first_time = nullptr);
  void count_row(Origin origin);
  void add(Problem problem, Origin origin, const std::string& detail);

  /// What a person should know about how files were read; said once.
  void note(const std::string& text);
  const std::vector<std::string>& notes() const { return notes_; }
  /// What may help where rows are bad; said once.
  void add_hint(const std::string& hint);

  /// DataError, one line with counts and examples, if more than `limit` (a share, 0 .. 1) of the rows read so far are
  /// bad: of all, or of one file. Of a file up to kFew may be, if that is less than half of it. `remedy`: what the line
  /// ends with.
  void check(double limit, const std::string& remedy = "mend the files or raise --error-limit") const;

  uint64_t rows() const { return rows_; }
  uint64_t bad_rows() const { return bad_rows_of(tallies_); }
  uint64_t rows_of(uint64_t file) const { return file < by_file_.size() ? by_file_[file].rows : 0; }
  const Tally& tally(Problem problem) const { return tallies_[static_cast<size_t>(problem)]; }
  static std::string_view name(Problem problem);
  const std::vector<std::filesystem::path>& files() const { return files_; }
  std::string where(Origin origin) const;

 private:
  using Tallies = std::array<Tally, kNumProblems>;
  struct OfFile {
    uint64_t rows = 0;
    Tallies tallies;
  };
  static uint64_t bad_rows_of(const Tallies& tallies);
  OfFile& of(Origin origin);
  [[noreturn]] void refuse(const Tallies& tallies, const std::string& rows, double limit,
                           const std::string& remedy) const;

  std::vector<std::filesystem::path> files_;
  std::unordered_map<std::string, uint64_t> numbers_;  // of files
  std::vector<OfFile> by_file_;
  Tallies tallies_;
  std::vector<std::string> notes_, hints_;
  uint64_t rows_ = 0;
};

}  // namespace cllm
