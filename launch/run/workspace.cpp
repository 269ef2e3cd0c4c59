#include "launch/run/workspace.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/plan/threads.h"
#include "launch/run/grown_state.h"
#include "launch/run/restore.h"

namespace cllm {
namespace {

at::ScalarType precision_of(const RunConfig& config) {
  if (config.run.precision == "fp64") return at::kDouble;
  return config.run.precision == "bf16" ? at::kBFloat16 : at::kFloat;
}

RunOptions run_options(const RunConfig& config) {
  return {.seed = static_cast<uint64_t>(config.run.seed),
          .precision = precision_of(config),
          .bf16_tables = config.run.table_precision == "bf16",
          .users_on_host = config.run.user_tables == "host",
          .fetch_ahead = config.run.fetch_ahead,
          .trace = config.log.trace,
          .only_new = config.data.only == "new",
          .validate_every_epochs = config.evaluation.every_epochs,
          .batch_users = config.evaluation.batch_users};
}

}  // namespace

void use_threads(int64_t threads, const MpiSession& mpi) {
  at::set_num_threads(static_cast<int>(threads_of_rank(threads, mpi.local_size())));
}

std::unique_ptr<Workspace> open_workspace(const RunConfig& config, MpiSession& mpi, const Channels& channels,
                                          OpenOptions options) {
  use_threads(config.run.threads, mpi);
  Communicator& world = channels.world;
  std::optional<Corpus> corpus;
  collectively(world, [&] {
    if (config.run.corpus.empty()) {
      throw ConfigError("run.corpus is not set: name the folder that `cllm4rec prepare` wrote");
    }
    corpus = Corpus::open(config.run.corpus);
    if (config.data.only != "new") return;
    if (corpus->ancestors().empty()) {
      throw ConfigError("data.only = \"new\": " + config.run.corpus +
                        " extends no other corpus, so that nothing of it is new; see prepare --extend");
    }
    if (!find_model(config.model)->takes_new) {
      throw ConfigError("data.only = \"new\": " + config.model +
                        " learns from all of the corpus or from nothing; leave it out");
    }
    if (options.to_train && config.init.run.empty()) {
      throw ConfigError("data.only = \"new\" without init.run: what is old would never be learned; name the run of " +
                        corpus->ancestors().front().fingerprint + " that goes on, or say \"all\"");
    }
  });
  auto out = std::make_unique<Workspace>(Workspace{config,
                                                   options.device,
                                                   channels,
                                                   {},
                                                   *corpus,
                                                   mpi.host(config.run.deadline_s),
                                                   std::move(options.levels),
                                                   nullptr,
                                                   {}});
  together(world, [&] {
    const auto open_run = [&](const std::string& folder) {
      OtherRun other = open_other_run(*out, mpi, folder);
      out->other_run = other.digest;
      return other.model;
    };
    std::function<std::optional<Corpus>()> first_corpus;
    if (!config.init.run.empty() && (options.to_train || options.to_start))
      first_corpus = [&] { return start_corpus(config, out->corpus.fingerprint()); };
    out->model = open_model(*out, *find_model(config.model), *config.options, options.to_train, open_run, first_corpus);
    if (out->model->program().num_steps() == 0) {
      throw ConfigError(
          "model.name = \"" + config.model + "\" would train nothing on " + config.run.corpus +
          ": its epochs are 0, or the corpus has nothing that it learns from (training items, texts); see " +
          "cllm4rec inspect " + config.run.corpus);
    }
    if (options.to_train && out->model->ranks() && out->corpus.num_interactions(Part::kTrain) == 0) {
      throw ConfigError(config.run.corpus +
                        " holds all interactions out: there are none to train on; prepare it with another split");
    }
  });
  if (!options.device.is_cpu() || config.log.trace) out->limits = measure_limits(options.device, precision_of(config));
  return out;
}

std::unique_ptr<Recommender> open_model(const Workspace& workspace, const Model& model, const ModelOptions& options,
                                        bool to_train,
                                        std::function<std::shared_ptr<Recommender>(const std::string&)> open_run,
                                        std::function<std::optional<Corpus>()> start_corpus) {
  Communicator& world = workspace.channels.world;
  return model.open(options, {.corpus = workspace.corpus,
                              .channels = workspace.channels,
                              .host = workspace.host.get(),
                              .levels = workspace.levels.get(),
                              .device = workspace.device,
                              .run = run_options(workspace.config),
                              .to_train = to_train,
                              .open_run = std::move(open_run),
                              .start_corpus = std::move(start_corpus),
                              .agreed = [&](const std::function<void()>& work) { collectively(world, work); }});
}

}  // namespace cllm
