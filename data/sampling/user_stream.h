#pragma once

#include <cstdint>
#include <vector>

#include "data/corpus/corpus.h"

namespace cllm {

/// The users that have at least one training item, numbered 0 .. size - 1 in ascending order. Keeps only those that
/// have none, which `prepare` makes rare, so that 10^9 users need no list (of those with news there is one: 8 bytes per
/// user without).
class UserStream {
 public:
  explicit UserStream(const Corpus& corpus,
                      bool only_new = false);  // with new items (Corpus::num_new); reads every user's item count once
  UserStream(int64_t num_users, const std::vector<int64_t>& left_out);  // `left_out` ascending

  int64_t size() const { return num_users_ - static_cast<int64_t>(gaps_.size()); }
  /// The user with number n; O(log(users left out)).
  int64_t user(int64_t n) const;

 private:
  int64_t num_users_;
  std::vector<int64_t> gaps_;  // per user left out, ascending: how many users of the stream come before
};

}  // namespace cllm
