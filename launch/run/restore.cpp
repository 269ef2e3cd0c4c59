#include "launch/run/restore.h"

#include "checkpoints/row_reader.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/run/grown_state.h"

namespace cllm {

namespace {

/// `digest`: of the configuration that the run must have been started with; "": any.
BestState load_best_of(Workspace& workspace, Communicator& comm, const RunFolder& folder, const std::string& digest,
                       bool same_corpus = true) {
  auto checkpoint = find_pinned(comm, folder.checkpoints(), kBestPin);
  if (!checkpoint) checkpoint = find_latest(comm, folder.checkpoints(), nullptr);
  if (!checkpoint) {
    throw CheckpointError(CheckpointError::kUnusable,
                          folder.checkpoints().string() + " holds no checkpoint: train first");
  }
  Recommender& model = *workspace.model;
  model.reset_optimizer();
  GrownState state;
  if (same_corpus) {
    state.cursor = load_state(workspace, comm, *checkpoint, digest);
    model.flush([] {});
  } else {
    state = load_grown(workspace, comm, folder, *checkpoint);
  }
  const Cursor& cursor = state.cursor;
  const int last_stage = static_cast<int>(model.program().stages().size()) - 1;
  const int stage = cursor.best_step >= 0 ? cursor.best_stage : last_stage;
  model.rank_as(stage);
  return {checkpoint->step, stage, state.line};
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
  const Store store = workspace.model->store();
  TrainState into = view_state(store);
  if (!workspace.model->needs_row_steps()) leave_out_missing_counts(into, *checkpoint.manifest);
  load(comm, checkpoint, into);
  const auto num_stages = static_cast<int>(workspace.model->program().stages().size());
  return from_metadata(checkpoint.metadata_json, store, num_stages, digest);
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
    const RunConfig& own = workspace.config;
    must_agree("model.name", config.model, own.model);
    for (const std::string& key : own.options->keys_of_state()) {
      must_agree(key, value_of(config, key), value_of(own, key));
    }
    must_agree("run.table_precision", config.run.table_precision, own.run.table_precision);
    if (config.run.precision == "fp64" || own.run.precision == "fp64") {
      must_agree("run.precision", config.run.precision, own.run.precision);
    }
  });
  const std::string there = other.corpus_fingerprint();
  const bool same_corpus = there.empty() || there == workspace.corpus.fingerprint();
  return load_best_of(workspace, comm, other, "", same_corpus);
}

}  // namespace cllm
