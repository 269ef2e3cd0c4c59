#include "data/sampling/user_stream.h"

#include <algorithm>

namespace cllm {
namespace {

std::vector<int64_t> users_without_items(const Corpus& corpus, bool only_new) {
  std::vector<int64_t> users;
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user)
    if ((only_new ? corpus.num_new(user) : corpus.num_items(user, Part::kTrain)) == 0) users.push_back(user);
  return users;
}

}  // namespace

UserStream::UserStream(const Corpus& corpus, bool only_new)
    : UserStream(corpus.vocabulary().num_users, users_without_items(corpus, only_new)) {}

UserStream::UserStream(int64_t num_users, const std::vector<int64_t>& left_out) : num_users_(num_users) {
  gaps_.reserve(left_out.size());
  for (const int64_t user : left_out) gaps_.push_back(user - static_cast<int64_t>(gaps_.size()));
}

int64_t UserStream::user(int64_t n) const {
  return n + (std::upper_bound(gaps_.begin(), gaps_.end(), n) - gaps_.begin());
}

}  // namespace cllm
