#include "launch/restore.h"

#include "checkpoints/checkpoint.h"
#include "launch/train_state.h"

namespace cllm {

BestState load_best(Workspace& workspace, Communicator& comm, const RunFolder& folder) {
  auto checkpoint = find_pinned(comm, folder.checkpoints(), kBestPin);
  if (!checkpoint) checkpoint = find_latest(comm, folder.checkpoints(), nullptr);
  if (!checkpoint) {
    throw CheckpointError(CheckpointError::kUnusable, folder.checkpoints().string() + " holds no checkpoint: train first");
  }
  RecModel& model = workspace.model;
  for (Table* table : {&model.collaborative, &model.content}) workspace.optimizer->reset(*table);
  TrainState state = view_state(model, workspace.backbone_optimizer.get());
  load(comm, *checkpoint, state);
  const Cursor cursor = from_metadata(checkpoint->metadata_json, model, workspace.backbone_optimizer.get(), config_digest(workspace.config));
  for (Table* table : {&model.collaborative, &model.content}) workspace.optimizer->flush(*table);
  return {checkpoint->step, prompt_of(cursor.best_step >= 0 ? cursor.best_stage : Stage::kFinetune)};
}

}  // namespace cllm
