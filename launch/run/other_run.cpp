#include "launch/run/other_run.h"

#include <xxhash.h>

#include <cstdio>

#include "checkpoints/directory.h"
#include "launch/config/paths.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/output/append_file.h"
#include "launch/run/restore.h"
#include "launch/run/run_folder.h"

namespace cllm {
namespace {

/// Members are destroyed in the opposite order: the model before what it talks through.
struct Opened {
  std::unique_ptr<Communicator> world;
  std::unique_ptr<Channels> channels;
  std::unique_ptr<Workspace> workspace;
};

std::string digest_of(const RunConfig& config, const RunFolder& folder, int64_t step) {
  const std::string text =
      config_digest(config) + read_whole_file((folder.checkpoints() / step_name(step) / "manifest.json").string());
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  return digits;
}

}  // namespace

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
    best = load_best(*opened->workspace, *opened->world, folder);
  });
  std::string digest;
  collectively(world, [&] { digest = digest_of(config, folder, best.step); });
  return {std::shared_ptr<Recommender>(opened, opened->workspace->model.get()), digest};
}

}  // namespace cllm
