#include "launch/restore.h"

#include "checkpoints/checkpoint.h"
#include "launch/agree.h"
#include "launch/errors.h"
#include "launch/train_state.h"

namespace cllm {

namespace {

/// `digest`: of the configuration that the run must have been started with; "": any.
BestState load_best_of(Workspace& workspace, Communicator& comm, const RunFolder& folder, const std::string& digest) {
  auto checkpoint = find_pinned(comm, folder.checkpoints(), kBestPin);
  if (!checkpoint) checkpoint = find_latest(comm, folder.checkpoints(), nullptr);
  if (!checkpoint) {
    throw CheckpointError(CheckpointError::kUnusable, folder.checkpoints().string() + " holds no checkpoint: train first");
  }
  RecModel& model = workspace.model;
  for (Table* table : {&model.collaborative, &model.content}) workspace.optimizer->reset(*table);
  TrainState state = view_state(model, workspace.backbone_optimizer.get());
  load(comm, *checkpoint, state);
  const Cursor cursor = from_metadata(checkpoint->metadata_json, model, workspace.backbone_optimizer.get(), digest);
  for (Table* table : {&model.collaborative, &model.content}) workspace.optimizer->flush(*table);
  return {checkpoint->step, prompt_of(cursor.best_step >= 0 ? cursor.best_stage : Stage::kFinetune)};
}

}  // namespace

BestState load_best(Workspace& workspace, Communicator& comm, const RunFolder& folder) {
  return load_best_of(workspace, comm, folder, config_digest(workspace.config));
}

BestState start_from(Workspace& workspace, Communicator& comm, const RunFolder& other) {
  collectively(comm, [&] {
    const RunConfig config = other.load_config();
    const RunConfig& own = workspace.config;
    if (config.optimizer.name != own.optimizer.name || config.run.train_backbone != own.run.train_backbone) {
      throw ConfigError("init.run: " + other.dir().string() + " has optimizer.name = " + config.optimizer.name +
                        " and run.train_backbone = " + (config.run.train_backbone ? "true" : "false") + ": set the same here");
    }
  });
  return load_best_of(workspace, comm, other, "");
}

}  // namespace cllm
