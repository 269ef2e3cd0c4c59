#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/tables/dense_adam.h"
#include "model/tables/table.h"

namespace cllm {

/// A sharded table by the name under which files hold its rows: table "l" is l_user.weight, l_item.weight, ….
struct NamedTable {
  std::string name;
  Table* table;
  bool is_given = false;  // found for the ids of this corpus together, and not trained: rows mean nothing beside others
};

/// A tensor that every rank holds alike.
struct NamedTensor {
  std::string name;
  at::Tensor value;
};

/// Trained tensors that all ranks hold alike, with their moments; `prefix` is that of their names in files.
struct NamedDense {
  std::string prefix;
  DenseAdam* adam;
};

/// All that a recommender holds: what checkpoints save, the planner counts and the replica guard compares.
struct Store {
  std::vector<NamedTable> tables;
  std::vector<NamedDense> dense = {};
  std::vector<NamedTensor> frozen = {};  // compared between ranks, not saved
  std::vector<NamedTensor> kept = {};    // frozen, but found by this run: compared and saved

  /// The trained tensors and their moments under the names that files give them.
  std::vector<NamedTensor> trained() const {
    std::vector<NamedTensor> out;
    for (const NamedDense& of : dense)
      for (const auto& [name, tensor] : of.adam->state()) out.push_back({of.prefix + name, tensor});
    return out;
  }
};

}  // namespace cllm
