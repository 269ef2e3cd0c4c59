#pragma once

#include <memory>

#include "dist/communicator.h"

namespace cllm {

/// N nodes of L ranks each, as one rank sees them: the ranks of its node, and those with its place on all nodes (a rail). Rank
/// node * L + place of the world is rank `place` of its node and rank `node` of its rail.
struct TwoLevels {
  std::unique_ptr<Communicator> node, rail;

  int ranks_per_node() const { return node->world_size(); }
};

/// `world` with an all_to_all of two steps: inside the node to the rank whose rail leads to the goal, then along the rails. Every rank
/// sends N + L messages instead of N L, and links between nodes carry few large ones. All else, duplicates too, goes by `world`.
std::unique_ptr<Communicator> make_two_level_communicator(std::unique_ptr<Communicator> world, TwoLevels levels);

}  // namespace cllm
