#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/random.h"
#include "model/losses/soft_labels.h"
#include "tests/model/recommenders/training.h"

namespace cllm::testing {

/// Histories of some users in an order that is not that of the corpus, with all their positions.
inline HistoryLists shuffled_histories(std::span<const int64_t> users) {
  HistoryLists out;
  out.offsets = {0};
  for (const int64_t user : users) {
    const auto items = training_corpus().items(user, Part::kTrain);
    std::vector<int64_t> order(items.begin(), items.end());
    CounterRng(static_cast<uint64_t>(user)).shuffle(std::span(order));
    for (int64_t k = 0; k < std::ssize(order); ++k) {
      out.sequence.push_back(std::ssize(out.users));
      out.shown.push_back(k);
      out.rest_weight.push_back(1);
    }
    out.users.push_back(user);
    out.items.insert(out.items.end(), order.begin(), order.end());
    out.offsets.push_back(std::ssize(out.items));
  }
  return out;
}

}  // namespace cllm::testing
