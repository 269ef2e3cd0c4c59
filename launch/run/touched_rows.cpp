#include "launch/run/touched_rows.h"

#include <map>
#include <string>
#include <tuple>

namespace cllm {
namespace {

/// Local numbers, ascending, of the rows of one block of a table whose counter has changed.
at::Tensor changed_rows(const at::Tensor& now, const at::Tensor& before, int64_t begin, int64_t count) {
  return now.narrow(0, begin, count).ne(before.narrow(0, begin, count)).nonzero().view({-1});
}

}  // namespace

void TouchedRows::remember(const RecModel& model) {
  l_row_step_ = model.collaborative.row_step.clone();
  c_row_step_ = model.content.row_step.clone();
}

TrainState TouchedRows::changed(const TrainState& whole, const RecModel& model) const {
  struct Block {
    at::Tensor local, numbers;
  };
  std::map<std::string, Block> blocks;  // by the side's name, e.g. "l_user"
  for (const auto& [side, table, before] :
       {std::tuple("l", &model.collaborative, &l_row_step_), std::tuple("c", &model.content, &c_row_step_)}) {
    const TableLayout& layout = table->layout;
    const at::Tensor users = changed_rows(table->row_step, *before, 0, layout.num_local_users());
    const at::Tensor items = changed_rows(table->row_step, *before, layout.num_local_users(), layout.num_local_items());
    blocks[std::string(side) + "_user"] = {users, users.add(layout.users().begin(layout.rank())).cpu()};
    blocks[std::string(side) + "_item"] = {items, items.add(layout.items().begin(layout.rank())).cpu()};
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
