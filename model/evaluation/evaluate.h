#pragma once

// Measures any Scorer on the held-out items of a corpus (METHOD.md §7). Formulas and denominators: README.md.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "dist/communicator/communicator.h"
#include "model/evaluation/bootstrap.h"
#include "model/evaluation/groups.h"
#include "model/evaluation/metrics.h"
#include "model/evaluation/queries.h"
#include "model/evaluation/scorer.h"

namespace cllm {

struct EvaluationOptions {
  Part part = Part::kTest;  // what is to be found: validation or test
  MetricList metrics = MetricList({20, 40}, {100});
  HistoryMode history = HistoryMode::kTrain;
  Mask mask = Mask::kHistory;  // kKnown before the test: training items, since the others are to be found
  int64_t batch_users = 64;
  std::function<bool()> leave = {};  // as in RankingOptions
  int64_t bootstrap = 0;             // resamples of the users for confidence intervals; 0: none
  uint64_t seed = 0;                 // of the resamples
  bool groups = false;               // also by history length and by item frequency
};

struct EvaluationResult {
  bool complete = false;                      // false: left early, and there is nothing else
  std::map<std::string, double> values;       // by name
  int64_t num_users = 0, left_out = 0;        // ranked; without held-out items
  std::map<std::string, Interval> intervals;  // of the metrics that are means over users; empty without bootstrap
  std::vector<MetricGroup> groups;
  std::string protocol;  // one line: what must be equal before two tables are compared
};

/// Called on the rank that ranked the user, with values in the order of metrics.per_user().names().
using PerUserSink = std::function<void(int64_t user, const std::vector<double>& values)>;

/// Means over the users with items in `part`, the same on every rank. Values differ between world sizes by the rounding
/// of sums only, intervals not at all. OptionError if the history would hold what is to be found. Collective.
EvaluationResult evaluate(Scorer& scorer, const Corpus& corpus, Communicator& comm, const EvaluationOptions& options,
                          const PerUserSink& per_user = {});

/// "split random_80_10_10, seed 1, corpus 0123; part test, fed train, masked history; all 400 items ranked; recall:
/// hits / min(K, held-out); ...; 1500 users ranked, 0 left out (nothing to find)".
std::string protocol_line(const Corpus& corpus, const EvaluationOptions& options, int64_t num_users, int64_t left_out);

}  // namespace cllm
