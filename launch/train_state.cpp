#include "launch/train_state.h"

#include <nlohmann/json.hpp>

#include "launch/errors.h"

namespace cllm {
namespace {

using nlohmann::json;

void add_table(TrainState& state, const std::string& side, const Table& table, StateScope scope) {
  const TableLayout& layout = table.layout;
  const auto add = [&](const std::string& what, const at::Tensor& rows) {
    if (!rows.defined()) return;
    state.tensors.push_back({side + "_user." + what, layout.users().num_rows(), layout.users().begin(layout.rank()),
                             rows.narrow(0, 0, layout.num_local_users())});
    state.tensors.push_back({side + "_item." + what, layout.items().num_rows(), layout.items().begin(layout.rank()),
                             rows.narrow(0, layout.num_local_users(), layout.num_local_items())});
  };
  add("weight", table.weight);
  if (scope == StateScope::kWeights) return;
  add("moment1", table.moment1);
  add("moment2", table.moment2);
  add("row_step", table.row_step);
}

}  // namespace

std::string to_metadata(const Cursor& cursor, const RecModel& model, const DenseAdam* dense, const std::string& config_digest) {
  const SegmentSums& sums = cursor.sums;
  return json{{"config_digest", config_digest},
              {"segment", cursor.segment},
              {"step", cursor.step},
              {"global_step", cursor.global_step},
              {"best_step", cursor.best_step},
              {"best_score", cursor.best_score},
              {"validations_since_best", cursor.validations_since_best},
              {"finished", cursor.finished},
              {"sums", {sums.loss, sums.lm, sums.mr}},
              {"counts", {sums.steps, sums.tokens, sums.sequences}},
              {"collaborative_step", model.collaborative.step},
              {"content_step", model.content.step},
              {"backbone_step", dense != nullptr ? dense->num_steps() : 0}}
      .dump();
}

Cursor from_metadata(const std::string& metadata, RecModel& model, DenseAdam* dense, const std::string& config_digest) {
  const json meta = json::parse(metadata);
  const auto found = meta.at("config_digest").get<std::string>();
  if (found != config_digest) {
    throw ConfigError("the checkpoint was written by another configuration (digest " + found + ", now " + config_digest +
                      "): restore the configuration, or choose another run.dir");
  }
  Cursor cursor;
  cursor.segment = meta.at("segment");
  cursor.step = meta.at("step");
  cursor.global_step = meta.at("global_step");
  cursor.best_step = meta.at("best_step");
  cursor.best_score = meta.at("best_score");
  cursor.validations_since_best = meta.at("validations_since_best");
  cursor.finished = meta.at("finished");
  const json &sums = meta.at("sums"), &counts = meta.at("counts");
  cursor.sums = {sums[0], sums[1], sums[2], counts[0], counts[1], counts[2]};
  model.collaborative.step = meta.at("collaborative_step");
  model.content.step = meta.at("content_step");
  if (dense != nullptr) dense->set_num_steps(meta.at("backbone_step"));
  return cursor;
}

TrainState view_state(RecModel& model, const DenseAdam* dense, StateScope scope) {
  TrainState state;
  add_table(state, "l", model.collaborative, scope);
  add_table(state, "c", model.content, scope);
  if (dense == nullptr) return state;
  for (const auto& [name, tensor] : dense->state()) {
    const bool is_moment = name.ends_with(".m") || name.ends_with(".v");
    if (is_moment && scope == StateScope::kWeights) continue;
    // Replicated: rank 0 writes all rows; on load every rank asks for all rows.
    const int64_t rows = tensor.size(0);
    state.tensors.push_back({"backbone." + name, rows, 0, tensor});
    state.tensors.back().replicated = true;
  }
  return state;
}

}  // namespace cllm
