#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/ingest/source.h"

namespace cllm {

/// A source made of tables of interactions and of texts: what most layouts are.
class Tables : public Source {
 public:
  struct Interactions {
    std::filesystem::path path;
    TableSpec table = interaction_table();
    bool only_texts = false;  // a file of reviews whose interactions another file lists
  };
  struct Texts {
    std::filesystem::path path;
    TextTable table;
  };
  std::vector<Interactions> interactions;
  std::vector<Texts> texts;
  bool event_log = false;
  std::string message;

  void read_interactions(RowSink& sink, Intake& intake) override;
  void read_texts(RowSink& sink, Intake& intake) override;
  std::vector<std::filesystem::path> interaction_files() const override;
  std::vector<std::filesystem::path> text_files() const override;
  std::string notice() const override { return message; }
  bool is_event_log() const override { return event_log; }

 protected:
  ReadInteractions names_;  // of the first file of interactions

 private:
  std::vector<const Interactions*> with_texts_;  // found by read_interactions
};

}  // namespace cllm
