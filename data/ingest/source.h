#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/problems.h"
#include "data/ingest/reading/table_reader.h"
#include "data/ingest/values/moment.h"

namespace cllm {

/// Views of one row, valid during the call that hands them over. Raw ids are as in the file.
struct InteractionRow {
  std::string_view user, item;
  std::optional<Moment> time;  // or any order
  std::optional<double> rating;
  Origin origin;
  CellFacts user_facts = {}, item_facts = {};
  bool time_is_date = false;  // not written as a number
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
  virtual std::string notice() const { return ""; }    // what a person should know about the choices made
  virtual bool is_event_log() const { return false; }  // a pair that comes again is normal; the first in time counts
};

enum class UserTexts { kAuto, kYes, kNo };

struct SourceOptions {
  std::string format = "auto";              // the name of a layout (formats/layouts.h)
  UserTexts user_texts = UserTexts::kAuto;  // is the text of the users file one? kAuto: yes if any has a blank in it,
                                            // or letters beyond ASCII
  std::filesystem::path
      texts;  // own layout: the file of review texts; empty: texts.* or explanations.* if there is one
  ReadingOptions reading;
  ColumnChoices columns;
};

/// Opens a folder, a zip archive or a single file. DataError, which lists what was seen, if it holds no layout's files.
std::unique_ptr<Source> open_source(const std::filesystem::path& place, const SourceOptions& options);

/// What the layouts share: a table of interactions (user, item, time, rating by their common names, in this order; a
/// text of the pair may be the fifth column) ...
TableSpec interaction_table();
struct ReadInteractions {
  bool has_texts = false;            // of its pairs, which read_pair_texts() hands out
  std::string user_name, item_name;  // as its header or its keys call them; empty: no header
};
ReadInteractions read_interaction_table(const std::filesystem::path& path, const TableSpec& table, RowSink& sink,
                                        Intake& intake);
void read_pair_texts(const std::filesystem::path& path, const TableSpec& table, RowSink& sink, Intake& intake);

/// ... and a table whose columns are texts of given kinds, besides a user, an item, or both.
struct TextTable {
  std::optional<Column> user, item;
  std::vector<Column> texts;  // `what` is their kind; empty: of no use, but in its place
  bool others = false;        // further columns that hold texts are kinds, too
};
void read_text_table(const std::filesystem::path& path, const TextTable& table, RowSink& sink, Intake& intake);

}  // namespace cllm
