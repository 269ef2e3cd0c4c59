#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/reading/problems.h"
#include "data/ingest/reading/table_reader.h"

namespace cllm {

/// Views of one row, valid during the call that hands them over. Raw ids are as in the file.
struct InteractionRow {
  std::string_view user, item;
  int64_t time = 0;  // or any order; 0 if the row has none
  bool has_time = false;
  std::optional<double> rating;
  Origin origin;
};

struct TextRow {
  std::string_view user, item;  // one may be empty: a text about an item or a user
  std::string_view kind;        // "biography", "content", "title", "review", ...
  std::string_view text;        // may be empty: no text
  Origin origin;
};

/// Takes the rows of a source.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void declare_user(std::string_view, Origin) {}  // listed in a users file: an id not listed is then an error
  virtual void declare_item(std::string_view, Origin) {}
  virtual void interaction(const InteractionRow&) {}
  virtual void text(const TextRow&) {}
};

/// Raw files of one layout. Read twice: texts can be judged only after the interactions are split.
class Source {
 public:
  virtual ~Source() = default;
  virtual void read_interactions(RowSink& sink, Intake& intake) = 0;
  virtual void read_texts(RowSink& sink, Intake& intake) = 0;
  virtual std::vector<std::filesystem::path> interaction_files() const = 0;  // read by read_interactions
  virtual std::vector<std::filesystem::path> text_files() const = 0;         // read by read_texts
  virtual const char* notice() const { return nullptr; }  // what a person should know about the choices made
};

enum class InputFormat { kAuto, kTsv, kCsv, kJsonl, kMovieLens, kAmazon, kYelp };
enum class UserTexts { kAuto, kYes, kNo };

struct SourceOptions {
  InputFormat format = InputFormat::kAuto;
  UserTexts user_texts =
      UserTexts::kAuto;  // is the second column of the users file a text? kAuto: yes if any value has a blank in it
  std::filesystem::path
      texts;  // own layout: the file of review texts; empty: texts.* or explanations.* if there is one
};

/// DataError if the folder holds no such files, or two candidates.
std::unique_ptr<Source> open_source(const std::filesystem::path& dir, const SourceOptions& options);

std::unique_ptr<Source> open_own_layout(const std::filesystem::path& dir,
                                        const SourceOptions& options);  // null: not this layout
std::unique_ptr<Source> open_movielens(const std::filesystem::path& dir);
std::unique_ptr<Source> open_amazon(const std::filesystem::path& dir);
std::unique_ptr<Source> open_yelp(const std::filesystem::path& dir);

/// What the layouts share: a table of interactions, and a table whose columns are texts of given kinds.
struct InteractionColumns {
  std::vector<std::string> user, item, time, rating;  // names in a header or keys of an object
};
void read_interaction_table(const std::filesystem::path& path, const InteractionColumns& columns, RowSink& sink,
                            Intake& intake);

struct TextColumn {
  std::string kind;
  std::vector<std::string> names;
};
/// Rows with a user, an item, or both (empty names: not in this table) and one text per column.
struct TextTable {
  std::vector<std::string> user, item;
  std::vector<TextColumn> texts;
};
void read_text_table(const std::filesystem::path& path, const TextTable& table, RowSink& sink, Intake& intake);

/// Files in the folder (sorted) whose name without .gz and extension satisfies `wanted`.
std::vector<std::filesystem::path> files_named(const std::filesystem::path& dir,
                                               const std::vector<std::string>& extensions,
                                               bool (*wanted)(std::string_view stem));

}  // namespace cllm
