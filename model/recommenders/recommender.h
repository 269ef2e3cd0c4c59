#pragma once

// What trainer, checkpoints, planner and replica guard know of a model. Read README.md beside this: "add a model".

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/evaluation/scorer.h"
#include "model/recommenders/program.h"
#include "model/step/non_finite.h"
#include "model/step/phases.h"
#include "model/tables/store.h"

namespace cllm {

/// This rank's part of one step: derived types hold what their step() computes with. A pure function of the step.
struct StepInput {
  virtual ~StepInput() = default;
  int64_t num_sequences = 0, num_tokens = 0;
  std::vector<uint64_t> keys;  // a random key of each sample (seed, stage, epoch, sample): log.samples
};

/// How a step is done.
struct StepSettings {
  StepRef ref;
  int64_t global_step = 0;
  double learning_rate = 0;
  std::function<void()> before_change = [] {};  // called before the step first changes what a checkpoint saves
};

/// A step that will follow; its rows may travel beneath the one now.
struct NextStep {
  const StepInput& input;
  const StepSettings& settings;
};

/// Global values, equal on all ranks, before the update. `loss` is what is minimised; terms are its named parts.
struct StepLosses {
  double loss = 0;
  std::vector<std::pair<std::string, double>> terms = {};  // the same names in every step of a task
  int64_t num_sequences = 0, num_tokens = 0;

  /// 0 if there is no such term.
  double term(std::string_view name) const {
    for (const auto& [of, value] : terms) {
      if (of == name) return value;
    }
    return 0;
  }
};

/// Where export_model() writes. Rank 0.
struct ExportFolder {
  std::filesystem::path dir;
  std::map<std::string, at::Tensor> tables;  // whole tables in fp32: "l_user" [I, D], "l_item" [J, D], …
};

/// A model that is trained, saved, resumed, ranked by and exported. Members are collective unless said otherwise.
class Recommender : public Scorer {
 public:
  /// The whole training: a pure function of configuration and corpus.
  virtual const Program& program() const = 0;

  /// Views of all state. Local.
  virtual Store store() = 0;

  /// Fresh optimiser state, as at the start of every stage. Local.
  virtual void reset_optimizer() = 0;

  /// This rank's part of a step. Local, thread-safe (batches are made ahead in a thread), pure.
  virtual std::unique_ptr<StepInput> input(const StepRef& ref) const = 0;

  /// One step with its update. With `next` the next call must be of that step, and nothing may change the state in
  /// between; results are the same bit for bit.
  virtual StepLosses step(const StepInput& input, const StepSettings& settings, const NextStep* next) = 0;

  /// Makes the updates that the last step() has left to the next one.
  virtual void settle(const std::function<void()>& before_change) { static_cast<void>(before_change); }

  /// settle(), and every row brought up to date: before ranking, export or another learning rate.
  virtual void flush(const std::function<void()>& before_change) { settle(before_change); }

  /// False: a model that gives no lists (a language model); held_out() then says how good it is.
  virtual bool ranks() const { return true; }
  /// Values on held-out data beside those of lists, by name; lower may be better.
  virtual std::map<std::string, double> held_out() { return {}; }

  /// Why users that are not in the corpus (queries of user -1) get no lists that a corpus with them would give: what
  /// follows the name of the run in a line; "": they do. Local.
  virtual std::string why_no_fold_in() const { return ""; }

  /// Where the scores of lists are dot products: this rank's rows of items [J_r, D], as lists take them; else
  /// undefined.
  virtual at::Tensor scored_rows() { return {}; }
  /// And what they are multiplied with, [b, D]. Collective.
  virtual at::Tensor query_rows(std::span<const RankingQuery> queries) {
    static_cast<void>(queries);
    return {};
  }
  /// The tokens from whose last hidden state an exported language model gives the scores, as logits of the items'
  /// tokens; empty: it does not. Local.
  virtual std::vector<std::vector<int32_t>> prompts_of(std::span<const RankingQuery> queries) const {
    static_cast<void>(queries);
    return {};
  }

  /// Lists are asked of a state of this stage from now on (a model may rank by another prompt then). Local.
  virtual void rank_as(int stage) { static_cast<void>(stage); }

  /// Whether a checkpoint without row counters (of before all tables had them) is of no use. Local.
  virtual bool needs_row_steps() const { return false; }

  /// Memory that a largest step takes, without a change of any state: the planner reads the peak afterwards.
  virtual void rehearse() {}

  /// Files of its own beside the tables, on rank 0. Local.
  virtual void export_model(const ExportFolder& folder) { static_cast<void>(folder); }

  /// Floating-point operations of a step on this rank; 0: not known. Local.
  virtual double flops(const StepInput& input, const StepSettings& settings) const {
    static_cast<void>(input), static_cast<void>(settings);
    return 0;
  }
  /// Where the time of the last step went, on this rank, and what was not finite in it. Local.
  virtual PhaseSeconds phases() const { return {}; }
  virtual NonFinite non_finite() const { return NonFinite::kNone; }

  /// Lines for a person at the start: sizes, choices that change results. Local.
  virtual std::string describe() const { return ""; }
};

}  // namespace cllm
