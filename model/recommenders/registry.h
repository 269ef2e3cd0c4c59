#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/corpus/corpus.h"
#include "dist/communicator/communicator.h"
#include "dist/communicator/two_level.h"
#include "model/recommenders/model_options.h"
#include "model/recommenders/recommender.h"

namespace cllm {

/// What of a run every model shares.
struct RunOptions {
  uint64_t seed = 0;
  at::ScalarType precision = at::kFloat;  // of computing: kFloat, kBFloat16, kDouble (then of everything)
  bool bf16_tables = false;               // rows are kept and travel in bf16
  bool users_on_host = false;             // of a GPU run: rows of users stay in the host's memory
  bool fetch_ahead = false;
  bool trace = false;
  bool only_new = false;              // train on users and texts with news of the corpus (Corpus::num_new)
  int64_t validate_every_epochs = 1;  // 0: only at the end of a stage
  int64_t batch_users = 64;           // ranked at a time by a rank
};

/// Where a model computes and with whom. All references outlive the model.
struct OpenArguments {
  const Corpus& corpus;
  const Channels& channels;
  Communicator* host = nullptr;  // the ranks of this host, for files that are read once per host
  TwoLevels* levels = nullptr;   // rows travel in two levels; null: in one
  at::Device device = at::kCPU;  // of this rank
  RunOptions run = {};
  bool to_train = false;  // not only to rank and export
  /// The best state of a run of this corpus, to ask it for scores; throws on all ranks alike. Null: there are none.
  /// Collective.
  std::function<std::shared_ptr<Recommender>(const std::string& folder)> open_run = {};
  /// The corpus on which vectors of texts were turned, of the run that this one starts from; none: this one's. Null:
  /// the run has no start on another corpus, and to rank it reads them from its checkpoint. Throws if it is not found.
  std::function<std::optional<Corpus>()> start_corpus = {};
  /// Runs local work; if it throws on a rank, all ranks throw, and one line is printed. Collective.
  std::function<void(const std::function<void()>& work)> agreed;
};

/// A model that a configuration can name: one line in registry.cpp.
struct Model {
  std::string_view name;     // model.name
  std::string_view summary;  // for --help-config
  std::unique_ptr<ModelOptions> (*options)();
  /// Collective. Throws ModelError or DataError on all ranks alike.
  std::unique_ptr<Recommender> (*open)(const ModelOptions& options, const OpenArguments& arguments);
  bool takes_new = false;    // knows RunOptions::only_new
  bool closed_form = false;  // one step fits it, and its defaults serve: it may stand beside a run as a baseline
};

std::span<const Model> models();
/// Null for an unknown name.
const Model* find_model(std::string_view name);

}  // namespace cllm
