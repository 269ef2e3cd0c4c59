#include "launch/run/restore.h"

#include "checkpoints/row_reader.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"

namespace cllm {

namespace {

/// `digest`: of the configuration that the run must have been started with; "": any.
BestState load_best_of(Workspace& workspace, Communicator& comm, const RunFolder& folder, const std::string& digest) {
  auto checkpoint = find_pinned(comm, folder.checkpoints(), kBestPin);
  if (!checkpoint) checkpoint = find_latest(comm, folder.checkpoints(), nullptr);
  if (!checkpoint) {
    throw CheckpointError(CheckpointError::kUnusable,
                          folder.checkpoints().string() + " holds no checkpoint: train first");
  }
  RecModel& model = workspace.model;
  for (Table* table : {&model.collaborative, &model.content}) workspace.optimizer->reset(*table);
  const Cursor cursor = load_state(workspace, comm, *checkpoint, digest);
  for (Table* table : {&model.collaborative, &model.content}) workspace.optimizer->flush(*table);
  return {checkpoint->step, prompt_of(cursor.best_step >= 0 ? cursor.best_stage : Stage::kFinetune)};
}

/// Tables count the steps of their rows since incremental saves; before that only `adam` did, which needs the counts.
void leave_out_missing_counts(TrainState& into, const Manifest& stored) {
  std::erase_if(into.tensors, [&](const ShardedTensor& tensor) {
    return tensor.name.ends_with(".row_step") && find_tensor(stored, tensor.name) == nullptr;
  });
}

}  // namespace

Cursor load_state(Workspace& workspace, Communicator& comm, const CheckpointInfo& checkpoint,
                  const std::string& digest) {
  TrainState into = view_state(workspace.model, workspace.backbone_optimizer.get());
  if (workspace.config.optimizer.name != "adam") leave_out_missing_counts(into, *checkpoint.manifest);
  load(comm, checkpoint, into);
  return from_metadata(checkpoint.metadata_json, workspace.model, workspace.backbone_optimizer.get(), digest);
}

BestState load_best(Workspace& workspace, Communicator& comm, const RunFolder& folder) {
  return load_best_of(workspace, comm, folder, config_digest(workspace.config));
}

BestState start_from(Workspace& workspace, Communicator& comm, const RunFolder& other) {
  collectively(comm, [&] {
    const RunConfig config = other.load_config();
    const auto must_agree = [&](const std::string& key, const std::string& there, const std::string& here) {
      if (there == here) return;
      throw ConfigError("init.run: " + other.dir().string() + " has " + key + " = " + there + ", this run " + here +
                        ": set the same here");
    };
    const auto yes_or_no = [](bool value) { return std::string(value ? "true" : "false"); };
    const RunConfig& own = workspace.config;
    must_agree("optimizer.name", config.optimizer.name, own.optimizer.name);
    must_agree("run.train_backbone", yes_or_no(config.run.train_backbone), yes_or_no(own.run.train_backbone));
    must_agree("run.table_precision", config.run.table_precision, own.run.table_precision);
    if (config.run.precision == "fp64" || own.run.precision == "fp64") {
      must_agree("run.precision", config.run.precision, own.run.precision);
    }
  });
  return load_best_of(workspace, comm, other, "");
}

}  // namespace cllm
