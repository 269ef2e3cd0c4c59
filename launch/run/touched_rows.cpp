#include "launch/run/touched_rows.h"

#include <map>
#include <string>

namespace cllm {
namespace {

/// Local numbers, ascending, of the rows of one block of a table whose counter has changed.
at::Tensor changed_rows(const at::Tensor& now, const at::Tensor& before, int64_t begin, int64_t count) {
  return now.narrow(0, begin, count).ne(before.narrow(0, begin, count)).nonzero().view({-1});
}

}  // namespace

void TouchedRows::remember(const Store& store) {
  row_steps_.clear();
  for (const NamedTable& named : store.tables) {
    if (!named.table->row_step.defined()) return forget();
    row_steps_.push_back(named.table->row_step.clone());
  }
}

TrainState TouchedRows::changed(const TrainState& whole, const Store& store) const {
  struct Block {
    at::Tensor local, numbers;
  };
  std::map<std::string, Block> blocks;  // by the name of the rows, e.g. "l_user"
  for (size_t n = 0; n < store.tables.size(); ++n) {
    const NamedTable& named = store.tables[n];
    const Table* const table = named.table;
    for (const RowGroup& group : table->layout.groups()) {
      const at::Tensor rows = changed_rows(table->row_step, row_steps_[n], group.first_local, group.num_local);
      blocks[named.name + "_" + group.name] = {rows, rows.add(group.partition.begin(table->layout.rank())).cpu()};
    }
  }
  TrainState out;
  out.only_changes = true;
  out.replicated = whole.replicated;
  for (const ShardedTensor& tensor : whole.tensors) {
    const Block& block = blocks.at(tensor.name.substr(0, tensor.name.find('.')));
    out.tensors.push_back(
        {tensor.name, tensor.global_rows, tensor.first_row, tensor.rows.index_select(0, block.local), block.numbers});
  }
  return out;
}

}  // namespace cllm
