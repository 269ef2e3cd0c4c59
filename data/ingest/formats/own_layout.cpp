// users.tsv (user, text) · items.tsv (item, text) · interactions.tsv (user, item, time or order, rating) ·
// texts.tsv (user, item, text, kind); all but interactions optional; the same as .csv, .jsonl and the other kinds of
// files.

#include <algorithm>

#include "data/errors.h"
#include "data/ingest/formats/id_columns.h"
#include "data/ingest/formats/layouts.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

Column with_id(Role role) {
  Column column = cllm::column(role);
  column.names.emplace_back("id");
  return column;
}

Column plain_text() { return column_named("text", {"text"}, false); }

/// The one file of that name among the kinds of the format; empty: none.
fs::path find_one(const InputFolder& input, const std::string& stem, const std::string& format) {
  std::vector<fs::path> found;
  for (const fs::path& file : input.files) {
    const fs::path name = lower_case(bare_name(file).string());
    const std::string extension = name.extension();
    const bool json = format == "jsonl" && (extension == ".json" || extension == ".ndjson");
    const bool wanted = format == "auto" || format == "own" || extension == "." + format || json;
    if (name.stem() == stem && wanted && kind_of_file(file) != nullptr) found.push_back(file);
  }
  if (found.size() > 1) {
    throw DataError("both " + found[0].string() + " and " + found[1].string() +
                    "; leave one in the input, or name the format");
  }
  return found.empty() ? fs::path() : found[0];
}

class OwnLayout : public Source {
 public:
  fs::path users, items, interactions, texts;
  bool user_texts = false, taken_for_ids = false;

  void read_interactions(RowSink& sink, Intake& intake) override {
    own_columns_ =
        choices_for_interactions(interactions, present({users, items, texts}), intake.columns, intake.reading);
    Intake own = intake;
    own.columns = own_columns_;
    look_for_names(own);
    if (!users.empty()) {
      TableReader rows(users, list_of(Role::kUser, user_name_), intake);
      tell_of_other_ids(rows, 0, list_of(Role::kUser, user_name_).columns[0], Role::kUser, intake.log);
      tell_of_column_with_ids(users, rows, 0, Role::kUser, interactions, user_name_, intake.reading, intake.log);
      while (rows.next()) sink.declare_user(rows.field(0), rows.origin());
    }
    if (!items.empty()) {
      TableReader rows(items, list_of(Role::kItem, item_name_), intake);
      tell_of_other_ids(rows, 0, list_of(Role::kItem, item_name_).columns[0], Role::kItem, intake.log);
      tell_of_column_with_ids(items, rows, 0, Role::kItem, interactions, item_name_, intake.reading, intake.log);
      while (rows.next()) sink.declare_item(rows.field(0), rows.origin());
    }
    interactions_have_texts_ = read_interaction_table(interactions, interaction_table(), sink, own).has_texts;
  }

  void read_texts(RowSink& sink, Intake& intake) override {
    if (!users.empty()) read_list(users, Role::kUser, user_texts ? "biography" : "", sink, intake);
    if (!items.empty()) read_list(items, Role::kItem, "content", sink, intake);
    if (interactions_have_texts_) {
      Intake own = intake;
      own.columns = own_columns_;
      read_pair_texts(interactions, interaction_table(), sink, own);
    }
    if (texts.empty()) return;
    TableSpec spec{{called(column(Role::kUser, false), user_name_), called(column(Role::kItem, false), item_name_),
                    column(Role::kText), column(Role::kKind, false)},
                   false,
                   true};
    TableReader rows(texts, spec, intake);
    refuse_half_a_pair(rows);
    tell_of_other_ids(rows, 0, spec.columns[0], Role::kUser, intake.log);
    tell_of_other_ids(rows, 1, spec.columns[1], Role::kItem, intake.log);
    while (rows.next()) {
      TextRow row{rows.field(0), rows.field(1), rows.field(3), rows.field(2), rows.origin()};
      if (row.kind.empty()) row.kind = row.user.empty() ? "content" : row.item.empty() ? "biography" : "review";
      sink.text(row);
      hand_out_others(rows, row, sink);
    }
  }

  std::vector<fs::path> interaction_files() const override { return present({users, items, interactions}); }
  std::vector<fs::path> text_files() const override {
    return present({users, items, interactions_have_texts_ ? interactions : "", texts});
  }
  std::string notice() const override {
    return taken_for_ids
               ? "the texts of the users file have no blank: taken for ids of another system, not for biographies"
               : "";
  }

  /// A file of users or items.
  static TableSpec list_of(Role role, const std::string& name = "") {
    return {{called(with_id(role), name), plain_text()}, false, true};
  }

 private:
  /// How the interactions call users and items.
  void look_for_names(const Intake& intake) {
    ProblemLog log;
    Intake look{log, {}, intake.reading, intake.columns, false};
    const TableReader rows(interactions, interaction_table(), look);
    user_name_ = rows.name_of(0);
    item_name_ = rows.name_of(1);
  }
  /// Where only the user or only the item of texts is named, and some other column may be the other one, texts of pairs
  /// would pass for biographies or contents, those of held-out pairs among them.
  void refuse_half_a_pair(const TableReader& rows) const {
    if (rows.has(0) == rows.has(1)) return;
    std::vector<std::string> there;
    for (const OtherColumn& other : rows.others()) there.push_back(other.name);
    for (const std::string& name : rows.placement().unused) {
      if (!is_known_name(folded(name))) there.push_back(name);
    }
    if (!there.empty()) {
      throw DataError(texts.string() + ":1: header " + missing_column({rows.has(0) ? "item" : "user"}, there) +
                      ", or take these columns out");
    }
  }
  static std::vector<fs::path> present(std::vector<fs::path> files) {
    std::erase_if(files, [](const auto& file) { return file.empty(); });
    return files;
  }
  static void hand_out_others(const TableReader& rows, TextRow row, RowSink& sink) {
    for (size_t n = 0; n < rows.others().size(); ++n) {
      row.kind = rows.others()[n].name;
      row.text = rows.other(n);
      sink.text(row);
    }
  }
  /// An empty kind: the text is none.
  void read_list(const fs::path& path, Role role, std::string_view kind, RowSink& sink, Intake& intake) const {
    TableReader rows(path, list_of(role, role == Role::kUser ? user_name_ : item_name_), intake);
    while (rows.next()) {
      TextRow row;
      row.origin = rows.origin();
      (role == Role::kUser ? row.user : row.item) = rows.field(0);
      row.kind = kind;
      row.text = rows.field(1);
      if (!kind.empty() && rows.has(1)) sink.text(row);
      hand_out_others(rows, row, sink);
    }
  }

  bool interactions_have_texts_ = false;  // found by read_interactions
  std::string user_name_, item_name_;     // the same
  ColumnChoices own_columns_;             // of interactions; the same
};

enum class Guess { kTexts, kIds, kEmpty };

/// Does any text of the first users have a blank, or letters beyond ASCII (Chinese has no blanks)? If not, they are ids
/// of another system (amazon_beauty).
Guess guess_user_texts(const fs::path& users, const SourceOptions& options) {
  constexpr int kRows = 1000;
  ProblemLog log;
  Intake intake{log, {}, options.reading, options.columns};
  TableReader rows(users, OwnLayout::list_of(Role::kUser), intake);
  bool any = false;
  for (int n = 0; n < kRows && rows.next(); ++n) {
    const std::string_view text = rows.field(1);
    const bool words = std::any_of(text.begin(), text.end(), [](char c) { return c == ' ' || (c & 0x80) != 0; });
    if (words) return Guess::kTexts;
    any = any || !text.empty();
  }
  return any ? Guess::kIds : Guess::kEmpty;
}

}  // namespace

std::unique_ptr<Source> open_own_layout(const InputFolder& input, const SourceOptions& options) {
  auto source = std::make_unique<OwnLayout>();
  const auto find = [&](const std::string& stem) { return find_one(input, stem, options.format); };
  source->interactions = find("interactions");
  if (source->interactions.empty()) return nullptr;
  source->users = find("users");
  source->items = find("items");
  source->texts = options.texts;
  if (!options.texts.empty() && !input_exists(options.texts)) {
    throw DataError(options.texts.string() + ": no such file; name the file of texts about pairs (user, item, text)");
  }
  if (source->texts.empty()) source->texts = find("texts");
  if (source->texts.empty()) source->texts = find("explanations");
  if (source->users.empty()) return source;
  if (options.user_texts == UserTexts::kAuto) {
    const Guess guess = guess_user_texts(source->users, options);
    source->user_texts = guess != Guess::kIds;
    source->taken_for_ids = guess == Guess::kIds;
  } else {
    source->user_texts = options.user_texts == UserTexts::kYes;
  }
  return source;
}

}  // namespace cllm
