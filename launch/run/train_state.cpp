#include "launch/run/train_state.h"

#include <nlohmann/json.hpp>

#include "checkpoints/errors.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

using nlohmann::json;

void add_table(TrainState& state, const std::string& side, const Table& table) {
  const TableLayout& layout = table.layout;
  const auto add = [&](const std::string& what, const at::Tensor& rows) {
    if (!rows.defined()) return;
    state.tensors.push_back({side + "_user." + what, layout.users().num_rows(), layout.users().begin(layout.rank()),
                             rows.narrow(0, 0, layout.num_local_users())});
    state.tensors.push_back({side + "_item." + what, layout.items().num_rows(), layout.items().begin(layout.rank()),
                             rows.narrow(0, layout.num_local_users(), layout.num_local_items())});
  };
  add("weight", table.weight);
  add("moment1", table.moment1);
  add("moment2", table.moment2);
  add("row_step", table.row_step);
}

}  // namespace

std::string to_metadata(const Cursor& cursor, const RecModel& model, const DenseAdam* dense,
                        const std::string& config_digest) {
  const SegmentSums& sums = cursor.sums;
  return json{{"config_digest", config_digest},
              {"global_step", cursor.global_step},
              {"best_step", cursor.best_step},
              {"best_score", cursor.best_score},
              {"best_stage", static_cast<int>(cursor.best_stage)},
              {"validations_since_best", cursor.validations_since_best},
              {"finished", cursor.finished},
              {"finish_due", cursor.finish_due},
              {"sums", {sums.loss, sums.lm, sums.mr}},
              {"sum_steps", sums.steps},
              {"table_steps", {model.collaborative.step, model.content.step}},
              {"table_rates", {model.collaborative.learning_rate, model.content.learning_rate}},
              {"backbone_step", dense != nullptr ? dense->num_steps() : 0}}
      .dump();
}

Cursor from_metadata(const std::string& metadata, RecModel& model, DenseAdam* dense,
                     const std::string& config_digest) try {
  const json meta = json::parse(metadata);
  const auto found = meta.at("config_digest").get<std::string>();
  if (!config_digest.empty() && found != config_digest) {
    throw ConfigError("the checkpoint was written by another configuration (digest " + found + ", now " +
                      config_digest + "): restore the configuration, or choose another run.dir");
  }
  Cursor cursor;
  cursor.global_step = meta.at("global_step");
  cursor.best_step = meta.at("best_step");
  cursor.best_score = meta.at("best_score");
  const int best_stage = meta.at("best_stage");
  if (best_stage < 0 || best_stage > static_cast<int>(Stage::kFinetune)) {
    throw CheckpointError(CheckpointError::kUnusable,
                          "the checkpoint's metadata is damaged: best_stage " + std::to_string(best_stage));
  }
  cursor.best_stage = static_cast<Stage>(best_stage);
  cursor.validations_since_best = meta.at("validations_since_best");
  cursor.finished = meta.at("finished");
  cursor.finish_due = meta.value("finish_due", false);  // checkpoints of before it was known have none
  const json& sums = meta.at("sums");
  cursor.sums = {sums.at(0), sums.at(1), sums.at(2), meta.at("sum_steps")};
  model.collaborative.step = meta.at("table_steps").at(0);
  model.content.step = meta.at("table_steps").at(1);
  model.collaborative.learning_rate = meta.at("table_rates").at(0);
  model.content.learning_rate = meta.at("table_rates").at(1);
  if (dense != nullptr) dense->set_num_steps(meta.at("backbone_step"));
  return cursor;
} catch (const json::exception& error) {
  throw CheckpointError(CheckpointError::kUnusable,
                        std::string("the checkpoint's metadata is damaged: ") + error.what());
}

std::vector<ReplicatedTensor> view_replicas(const RecModel& model, const DenseAdam* dense) {
  std::vector<ReplicatedTensor> replicas;
  for (const auto& [name, tensor] : dense != nullptr ? dense->state() : model.backbone->parameters()) {
    replicas.push_back({"backbone." + name, tensor});
  }
  return replicas;
}

TrainState view_state(RecModel& model, const DenseAdam* dense) {
  TrainState state;
  add_table(state, "l", model.collaborative);
  add_table(state, "c", model.content);
  if (dense != nullptr) state.replicated = view_replicas(model, dense);
  return state;
}

}  // namespace cllm
