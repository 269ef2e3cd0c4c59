#include "data/ingest/formats/tables.h"

#include <algorithm>

namespace cllm {

void Tables::read_interactions(RowSink& sink, Intake& intake) {
  with_texts_.clear();
  if (const auto files = interaction_files(); files.size() > 1)
    intake.log.note(list_of_names(files) + ": read as one table of interactions");
  for (const Interactions& file : interactions) {
    const bool has_texts = file.only_texts || read_interaction_table(file.path, file.table, sink, intake);
    if (has_texts) with_texts_.push_back(&file);
  }
}

void Tables::read_texts(RowSink& sink, Intake& intake) {
  for (const Texts& file : texts) read_text_table(file.path, file.table, sink, intake);
  for (const Interactions* file : with_texts_) read_pair_texts(file->path, file->table, sink, intake);
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
