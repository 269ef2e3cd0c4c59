#include "launch/commands/added_items.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/prepare.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/values/parse.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// An input of prepare: the table as its items file, under the kind that it has, and no interaction. Gone at the end.
class ItemsFolder {
 public:
  ItemsFolder(fs::path dir, const fs::path& items, const ColumnChoices& columns) : dir_(std::move(dir)) {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    const std::string name = items.filename().string(), stem = bare_name(items).stem().string();
    file_ = dir_ / ("items" + name.substr(stem.size()));
    fs::create_symlink(fs::absolute(items), file_);
    const auto item = columns.find("item");
    std::ofstream(dir_ / "interactions.tsv") << "user\t" << (item == columns.end() ? "item" : item->second) << "\n";
  }
  ~ItemsFolder() {
    std::error_code ignored;
    fs::remove_all(dir_, ignored);
  }
  ItemsFolder(const ItemsFolder&) = delete;
  ItemsFolder& operator=(const ItemsFolder&) = delete;

  const fs::path& dir() const { return dir_; }
  const fs::path& file() const { return file_; }

 private:
  fs::path dir_, file_;
};

/// What is odd about the texts of new items: some have none, others are of items that the corpus has.
std::string describe_texts(const Corpus& corpus, int64_t old_items) {
  const int64_t added = corpus.vocabulary().num_items - old_items;
  std::vector<bool> has_text(static_cast<size_t>(added));
  int64_t of_known = 0;
  for (int64_t n = corpus.ancestors().front().texts; n < corpus.num_texts(); ++n) {
    const int64_t item = corpus.text(n).item;
    if (item < old_items)
      ++of_known;
    else
      has_text[static_cast<size_t>(item - old_items)] = true;
  }
  std::string out;
  const auto bare = std::ranges::count(has_text, false);
  if (bare > 0) {
    const auto first = std::ranges::find(has_text, false) - has_text.begin();
    out += "; " + std::to_string(bare) + " of them have no text and rank by the mean of all items' rows, the first: " +
           quoted(corpus.item_raw_id(old_items + first));
  }
  if (of_known > 0)
    out += "; " + std::to_string(of_known) +
           " texts are of items that the corpus has: their rows move, as on a corpus with these texts";
  return out;
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

/// The person's own file in the place of the one that was read.
std::string with_name(const std::string& text, const fs::path& read, const fs::path& given) {
  const std::string mark = "\x01";  // the given path may hold the name that was read
  const std::string marked = replaced(replaced(text, read.string(), mark), read.filename().string(), mark);
  return replaced(marked, mark, given.string());
}

/// A text that is chosen must be there: in a file of items it need not be, and would be left out without a word.
void check_choice(const fs::path& items, const SourceOptions& source) {
  const ColumnChoices& columns = source.columns;
  const auto text = columns.find("text");
  if (text == columns.end() || text->second == kNoColumn) return;
  const std::vector<std::string> names = names_in(items, source.reading);
  if (std::ranges::any_of(names, [&](const auto& name) { return folded(name) == folded(text->second); })) return;
  throw ConfigError("--add-items " + items.string() + ":1: header " + missing_column({text->second}, names, columns));
}

}  // namespace

std::string write_grown_corpus(const fs::path& corpus, const fs::path& items, const fs::path& output,
                               const SourceOptions& source) {
  const ColumnChoices& columns = source.columns;
  if (!input_exists(items) || fs::is_directory(items))
    throw ConfigError("--add-items " + items.string() + ": no such file; name a table with the columns item and text");
  check_choice(items, source);
  const ItemsFolder folder(output.string() + ".items", items, columns);
  PrepareOptions options;
  options.input = folder.dir();
  options.output = output;
  options.overwrite = true;
  options.source.reading.encoding = source.reading.encoding;
  for (const char* const what : {"item", "text"}) {  // others are those of --histories
    if (const auto choice = columns.find(what); choice != columns.end()) options.source.columns.insert(*choice);
  }
  options.extend = corpus;
  PrepareReport report;
  try {
    report = prepare(options);
  } catch (const DataError& error) {
    throw DataError("--add-items: " + with_name(error.what(), folder.file(), items));
  }
  const int64_t added = report.vocabulary.num_items - report.old_items;
  if (added == 0)
    throw ConfigError("--add-items " + items.string() + ": the corpus has all of its items: leave it out");
  std::string out = "added " + std::to_string(added) + " items of " + items.string();
  out += describe_texts(Corpus::open(output), report.old_items);
  for (const PrepareReport::Bad& bad : report.bad_rows) {
    out += "; " + std::to_string(bad.count) + " bad rows left out, " + bad.problem +
           (bad.examples.empty() ? "" : ": " + bad.examples[0]);
  }
  for (const std::string& notice : report.notices) out += "; " + notice;
  return with_name(out, folder.file(), items);
}

}  // namespace cllm
