#include "launch/run/restore.h"

#include <algorithm>

#include "checkpoints/directory.h"
#include "checkpoints/row_reader.h"
#include "launch/config/paths.h"
#include "launch/config/text.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/output/append_file.h"
#include "launch/run/grown_state.h"
#include "launch/run/train_state.h"

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

/// Members are destroyed in the opposite order: the model before what it talks through.
struct Opened {
  std::unique_ptr<Communicator> world;
  std::unique_ptr<Channels> channels;
  std::unique_ptr<Workspace> workspace;
};

std::string digest_of(const RunConfig& config, const RunFolder& folder, int64_t step) {
  return digest_of_text(config_digest(config) +
                        read_whole_file((folder.checkpoints() / step_name(step) / "manifest.json").string()));
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
  BestState best = load_best_of(workspace, comm, other, "", same_corpus);
  const std::string theirs = other.backbone_fingerprint(), ours = fingerprint_of_frozen(workspace.model->store());
  const auto keys = workspace.config.options->keys_of_state();
  const bool has_words = std::ranges::find(keys, "content.vocabulary") != keys.end();
  const bool same_words = same_corpus || (has_words && value_of(workspace.config, "content.vocabulary") == "full");
  if (same_words && !theirs.empty() && !ours.empty() && theirs != ours)
    best.line += (best.line.empty() ? "" : "; ") +
                 ("the backbone of " + other.dir().string() + " had other weights: rows start where those left them");
  return best;
}

OtherRun open_other_run(const Workspace& workspace, MpiSession& mpi, const std::string& dir) {
  Communicator& world = workspace.channels.world;
  const RunFolder folder(dir);
  RunConfig config;
  collectively(world, [&] {
    config = folder.load_config();
    find_paths(config, dir, {.corpus = workspace.config.run.corpus, .backbone = {}});
    const std::string theirs = folder.corpus_fingerprint(), ours = workspace.corpus.fingerprint();
    if (!theirs.empty() && theirs != ours)
      throw ConfigError(dir + " was trained on another corpus than " + workspace.config.run.corpus + " (fingerprint " +
                        theirs + ", here " + ours + "): name a run of this corpus");
  });
  config.run.dir = dir;
  config.run.device = workspace.config.run.device;
  config.run.threads = workspace.config.run.threads;
  config.run.ranks_per_node = 0;
  config.data.only = "all";
  auto opened = std::make_shared<Opened>();
  opened->world = world.duplicate("other run");
  opened->channels = std::make_unique<Channels>(*opened->world);
  opened->workspace = open_workspace(config, mpi, *opened->channels, {.device = workspace.device});
  BestState best;
  together(*opened->world, [&] {
    if (!opened->workspace->model->ranks())
      throw ConfigError(dir + " holds a " + config.model + ", which gives no lists: name a run of a recommender");
    folder.check_backbone(fingerprint_of_frozen(opened->workspace->model->store()), config);
    best = load_best(*opened->workspace, *opened->world, folder);
  });
  std::string digest;
  collectively(world, [&] { digest = digest_of(config, folder, best.step); });
  return {std::shared_ptr<Recommender>(opened, opened->workspace->model.get()), digest};
}

}  // namespace cllm
