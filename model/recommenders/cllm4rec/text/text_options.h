#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/settings.h"

namespace cllm {

/// Rows made of texts (model/tables/text_rows.h).
struct TextRowsOptions {
  std::string source = "none";  // tf-idf, backbone or a file; several: "tf-idf + FILE"
  int64_t dims = 256;
  double bound = 0.5;
  double rate = 0.1;  // learning rate of the map relative to the rows'
  bool shuffle = false;

  bool active() const { return source != "none"; }
  std::vector<std::string> sources() const;
};

/// The keys of [rows.text].
void describe(TextRowsOptions& options, Settings& settings);

}  // namespace cllm
