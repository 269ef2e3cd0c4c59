#pragma once

// What models share whose samples are users: one update is a random draw of users, one epoch all of them.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/sampling/user_stream.h"
#include "model/recommenders/program.h"

namespace cllm {

/// The items that a sequential model is trained on and fed, oldest first.
std::vector<int32_t> training_history(const Corpus& corpus, int64_t user);
/// Its length.
int64_t training_length(const Corpus& corpus, int64_t user);

/// A user of a global batch. Every draw about it starts from `key`: a function of (seed, stage, epoch, user).
struct SampledUser {
  int64_t user;
  uint64_t key;
};

struct UserEpochOptions {
  uint64_t seed = 0;
  int64_t batch_users = 500;  // of a global batch; the last of an epoch may be smaller
  int64_t least_items = 1;    // users with fewer training items are left out
  bool only_new = false;      // and users without new ones (Corpus::num_new)
};

/// Which users every update trains on.
class UserEpochs {
 public:
  /// Reads every user's item count once.
  UserEpochs(const Corpus& corpus, const UserEpochOptions& options);

  int64_t num_users() const { return users_.size(); }
  int64_t num_steps() const;
  /// The global batch of a step, the same on every rank. Pure.
  std::vector<SampledUser> batch(const StepRef& ref) const;

 private:
  UserStream users_;
  UserEpochOptions options_;
};

/// The samples of a batch that rank `rank` computes: about as many items on each. Pure.
std::vector<size_t> share_of_rank(std::span<const int64_t> lengths, int rank, int world_size);

/// Of the learning rate from epoch to epoch. kLinear: epoch n of N has (1 - n / N) of the first one's.
enum class EpochDecay { kConstant, kLinear };

struct EpochOptions {
  int64_t epochs = 1;
  double learning_rate = 1e-3;
  EpochDecay decay = EpochDecay::kConstant;
  int64_t validate_every = 1;  // epochs; 0: only at the end
  int64_t patience = 0;        // validations
};
/// One stage of one task, an epoch after the other.
Program program_of_epochs(const std::string& task, int64_t steps_per_epoch, const EpochOptions& options);

}  // namespace cllm
