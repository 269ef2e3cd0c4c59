#pragma once

#include <string>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {

/// Every user has every item but the one of its own number.
inline void write_grid(const Scratch& scratch, int users, int items) {
  std::string interactions = "user\titem\ttime\n", texts, user_list;
  for (int user = 0; user < users; ++user) {
    user_list += "u" + std::to_string(user) + "\tI am number " + std::to_string(user) + "\n";
    for (int item = 0; item < items; ++item) {
      if (item == user) continue;
      interactions += "u" + std::to_string(user) + "\ti" + std::to_string(item) + "\t" +
                      std::to_string((item * 7 + user) % 13) + "\n";
      texts += "u" + std::to_string(user) + "\ti" + std::to_string(item) + "\twords of " + std::to_string(user) + "\n";
    }
  }
  scratch.write("users.tsv", user_list);
  scratch.write("interactions.tsv", interactions);
  scratch.write("texts.tsv", texts);
}

}  // namespace cllm::testing
