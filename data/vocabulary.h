#pragma once

#include <cstdint>

namespace cllm {

/// The id space of METHOD.md §2: word w -> w, user i -> N + i, item j -> N + I + j.
struct Vocabulary {
  int64_t num_words = 0;  // N
  int64_t num_users = 0;  // I
  int64_t num_items = 0;  // J

  int32_t user_token(int64_t user) const { return static_cast<int32_t>(num_words + user); }
  int32_t item_token(int64_t item) const { return static_cast<int32_t>(num_words + num_users + item); }
  bool is_word(int32_t token) const { return token < num_words; }
  bool is_item(int32_t token) const { return token >= num_words + num_users; }
  /// Table row of a user or item token: users first, then items; 0 .. I + J - 1.
  int32_t row_of(int32_t token) const { return static_cast<int32_t>(token - num_words); }
  int64_t num_rows() const { return num_users + num_items; }
};

}  // namespace cllm
