// users.tsv (user, text) · items.tsv (item, text) · interactions.tsv (user, item, time or order, rating) ·
// texts.tsv (user, item, text, kind); all but interactions optional; the same as .csv and .jsonl.

#include <algorithm>

#include "data/errors.h"
#include "data/ingest/source.h"

namespace cllm {
namespace {

const std::vector<std::string> kUser = {"user", "user_id"};
const std::vector<std::string> kItem = {"item", "item_id"};
const std::vector<std::string> kText = {"text"};
const InteractionColumns kInteractions = {kUser, kItem, {"time", "order", "timestamp"}, {"rating"}};

std::vector<std::string> with_id(std::vector<std::string> names) {
  names.push_back("id");
  return names;
}

std::vector<std::string> extensions(InputFormat format) {
  switch (format) {
    case InputFormat::kTsv: return {".tsv"};
    case InputFormat::kCsv: return {".csv"};
    case InputFormat::kJsonl: return {".jsonl", ".json"};
    default: return {".tsv", ".csv", ".jsonl", ".json"};
  }
}

/// The one file of that name in any of the formats; empty: none.
std::filesystem::path find_one(const std::filesystem::path& dir, const std::string& stem, InputFormat format) {
  std::vector<std::filesystem::path> found;
  for (const std::string& extension : extensions(format)) {
    for (const std::string compressed : {"", ".gz"}) {
      if (const auto path = dir / (stem + extension + compressed); std::filesystem::exists(path)) found.push_back(path);
    }
  }
  if (found.size() > 1) {
    throw DataError(dir.string() + ": both " + found[0].filename().string() + " and " + found[1].filename().string() +
                    "; remove one, or name the format");
  }
  return found.empty() ? std::filesystem::path() : found[0];
}

enum class Guess { kTexts, kIds, kEmpty };

/// Do the texts of users have a blank anywhere in the first rows? If not, they are ids of another system
/// (amazon_beauty).
Guess guess_user_texts(const std::filesystem::path& users) {
  constexpr int kRows = 1000;
  ProblemLog log;
  Intake intake{log, {}};
  TableReader rows(users, {{with_id(kUser)}, {kText, false}}, intake);
  bool any = false;
  for (int n = 0; n < kRows && rows.next(); ++n) {
    if (rows.field(1).find(' ') != std::string_view::npos) return Guess::kTexts;
    any = any || !rows.field(1).empty();
  }
  return any ? Guess::kIds : Guess::kEmpty;
}

class OwnLayout : public Source {
 public:
  std::filesystem::path users, items, interactions, texts;
  bool user_texts = false, taken_for_ids = false;

  void read_interactions(RowSink& sink, Intake& intake) override {
    if (!users.empty()) {
      TableReader rows(users, {{with_id(kUser)}, {kText, false}}, intake);
      while (rows.next()) sink.declare_user(rows.field(0), rows.origin());
    }
    if (!items.empty()) {
      TableReader rows(items, {{with_id(kItem)}, {kText, false}}, intake);
      while (rows.next()) sink.declare_item(rows.field(0), rows.origin());
    }
    read_interaction_table(interactions, kInteractions, sink, intake);
  }

  void read_texts(RowSink& sink, Intake& intake) override {
    if (user_texts) read_text_table(users, {with_id(kUser), {}, {{"biography", kText}}}, sink, intake);
    if (!items.empty()) read_text_table(items, {{}, with_id(kItem), {{"content", kText}}}, sink, intake);
    if (texts.empty()) return;
    TableReader rows(texts, {{kUser, false}, {kItem, false}, {kText}, {{"kind"}, false}}, intake);
    while (rows.next()) {
      TextRow row{rows.field(0), rows.field(1), rows.field(3), rows.field(2), rows.origin()};
      if (row.kind.empty()) row.kind = row.user.empty() ? "content" : row.item.empty() ? "biography" : "review";
      sink.text(row);
    }
  }

  std::vector<std::filesystem::path> interaction_files() const override {
    return present({users, items, interactions});
  }
  std::vector<std::filesystem::path> text_files() const override {
    return present({user_texts ? users : "", items, texts});
  }
  const char* notice() const override {
    return taken_for_ids
               ? "the texts of the users file have no blank: taken for ids of another system, not for biographies"
               : nullptr;
  }

 private:
  static std::vector<std::filesystem::path> present(std::vector<std::filesystem::path> files) {
    std::erase_if(files, [](const auto& file) { return file.empty(); });
    return files;
  }
};

}  // namespace

std::unique_ptr<Source> open_own_layout(const std::filesystem::path& dir, const SourceOptions& options) {
  auto source = std::make_unique<OwnLayout>();
  source->interactions = find_one(dir, "interactions", options.format);
  if (source->interactions.empty()) return nullptr;
  source->users = find_one(dir, "users", options.format);
  source->items = find_one(dir, "items", options.format);
  source->texts = options.texts;
  if (!options.texts.empty() && !std::filesystem::exists(options.texts)) {
    throw DataError(options.texts.string() + ": no such file; name the file of texts about pairs (user, item, text)");
  }
  if (source->texts.empty()) source->texts = find_one(dir, "texts", options.format);
  if (source->texts.empty()) source->texts = find_one(dir, "explanations", options.format);
  if (source->users.empty()) return source;
  if (options.user_texts == UserTexts::kAuto) {
    const Guess guess = guess_user_texts(source->users);
    source->user_texts = guess != Guess::kIds;
    source->taken_for_ids = guess == Guess::kIds;
  } else {
    source->user_texts = options.user_texts == UserTexts::kYes;
  }
  return source;
}

}  // namespace cllm
