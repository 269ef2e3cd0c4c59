#include "data/ingest/formats/tables.h"

#include <algorithm>
#include <utility>

#include "data/ingest/formats/id_columns.h"

namespace cllm {

void Tables::read_interactions(RowSink& sink, Intake& intake) {
  with_texts_.clear();
  if (const auto files = interaction_files(); files.size() > 1)
    intake.log.note(list_of_names(files) + ": read as one table of interactions");
  const auto others = text_files();
  bool first = true;
  for (const Interactions& file : interactions) {
    bool has_texts = file.only_texts;
    if (!file.only_texts) {
      Intake own = intake;
      own.columns = choices_for_interactions(file.path, others, intake.columns, intake.reading);
      const ReadInteractions read = read_interaction_table(file.path, file.table, sink, own);
      has_texts = read.has_texts;
      if (std::exchange(first, false)) names_ = read;
    }
    if (has_texts) with_texts_.push_back(&file);
  }
}

void Tables::read_texts(RowSink& sink, Intake& intake) {
  for (const Texts& file : texts) {
    TextTable table = file.table;
    if (table.user) table.user = called(*table.user, names_.user_name);
    if (table.item) table.item = called(*table.item, names_.item_name);
    read_text_table(file.path, table, sink, intake);
  }
  for (const Interactions* file : with_texts_) {
    TableSpec table = file->table;
    if (file->only_texts) {
      table.columns[0] = called(table.columns[0], names_.user_name);
      table.columns[1] = called(table.columns[1], names_.item_name);
    }
    read_pair_texts(file->path, table, sink, intake);
  }
}

std::vector<std::filesystem::path> Tables::interaction_files() const {
  std::vector<std::filesystem::path> files;
  for (const Interactions& file : interactions) {
    if (!file.only_texts) files.push_back(file.path);
  }
  return files;
}

std::vector<std::filesystem::path> Tables::text_files() const {
  std::vector<std::filesystem::path> files;
  for (const Texts& file : texts) files.push_back(file.path);
  for (const Interactions* file : with_texts_) files.push_back(file->path);
  return files;
}

}  // namespace cllm
