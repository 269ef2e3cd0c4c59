#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/evaluation/scorer.h"
#include "model/recommenders/closed_form/closed_form.h"

namespace cllm {

/// Lists of an item-item matrix B [J, J] whose rows are sharded over the ranks: score(k) = sum over the places p of the
/// history of recency^(L - 1 - p) B[item_p, k]. The asking rank gets the rows and adds them in fp64 in the order of the
/// history, so lists and scores are the same for any world size. Rows come in rounds of at most `rows_at_a_time`:
/// memory does not grow with the histories. Collective.
std::vector<std::vector<ScoredItem>> top_items_of_histories(const HostRanks& ranks, const Table& table,
                                                            std::span<const RankingQuery> queries, int64_t k,
                                                            double recency, int64_t rows_at_a_time);

/// As many rows of J fp32 values as fit into 64 MiB, at least one.
int64_t default_rows_at_a_time(int64_t num_items);

/// The largest of the ranks' values. Collective.
int64_t largest(Communicator& comm, int64_t value);

}  // namespace cllm
