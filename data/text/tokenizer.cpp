#include "data/text/tokenizer.h"

#include <algorithm>
#include <stdexcept>

#include "data/text/tables.h"
#include "data/text/word_split.h"

namespace cllm {
namespace {

/// Merges the symbols of one word: always the pair of lowest rank, the leftmost of equals. O(n log n) for n bytes, so
/// that a word of a megabyte (one long run of letters) is no trap.
class WordMerger {
 public:
  WordMerger(const Tokenizer::Tables& tables, std::string_view word)
      : merges_(tables.merge_table), nodes_(word.size()) {
    const int32_t size = static_cast<int32_t>(word.size());
    for (int32_t n = 0; n < size; ++n) {
      const unsigned char byte = static_cast<unsigned char>(word[static_cast<size_t>(n)]);
      node(n) = {tables.byte_ids[byte], n - 1, n + 1 < size ? n + 1 : -1};
    }
    for (int32_t n = 0; n + 1 < size; ++n) offer(n);
  }

  void run(std::vector<int32_t>& ids) {
    while (!candidates_.empty()) {
      std::pop_heap(candidates_.begin(), candidates_.end(), Later{});
      const Candidate best = candidates_.back();
      candidates_.pop_back();
      if (is_current(best)) merge(best);
    }
    for (int32_t n = nodes_.empty() ? -1 : 0; n >= 0; n = node(n).next) ids.push_back(node(n).id);
  }

 private:
  struct Node {
    int32_t id;  // -1: swallowed by its left neighbour
    int32_t previous, next;
  };
  struct Candidate {
    int32_t rank, left, left_id, right_id, merged;
  };
  struct Later {
    bool operator()(const Candidate& a, const Candidate& b) const {
      return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
    }
  };

  Node& node(int32_t n) { return nodes_[static_cast<size_t>(n)]; }

  void offer(int32_t left) {
    const int32_t left_id = node(left).id, right_id = node(node(left).next).id;
    const MergeTable::Merge merge = merges_.find(left_id, right_id);
    if (merge.rank < 0) return;
    candidates_.push_back({merge.rank, left, left_id, right_id, merge.merged});
    std::push_heap(candidates_.begin(), candidates_.end(), Later{});
  }

  bool is_current(const Candidate& candidate) {
    const Node& left = node(candidate.left);
    return left.id == candidate.left_id && left.next >= 0 && node(left.next).id == candidate.right_id;
  }

  void merge(const Candidate& candidate) {
    Node& left = node(candidate.left);
    Node& right = node(left.next);
    left.id = candidate.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) {
      node(left.next).previous = candidate.left;
      offer(candidate.left);
    }
    if (left.previous >= 0) offer(left.previous);
  }

  const MergeTable& merges_;
  std::vector<Node> nodes_;
  std::vector<Candidate> candidates_;
};

/// Words repeat: a thread remembers the ids of those it met. Holds about 20 MB at most, then starts anew.
class WordCache {
 public:
  void use_for(const std::shared_ptr<const Tokenizer::Tables>& tables) {
    if (owner_.lock() != tables) forget();
    owner_ = tables;
  }

  void append(const Tokenizer::Tables& tables, std::string_view word, std::vector<int32_t>& ids) {
    if (arena_.size() > kMaxIds) forget();
    auto found = places_.find(word);
    if (found == places_.end()) {
      const size_t first = arena_.size();
      WordMerger(tables, word).run(arena_);
      found = places_.emplace(std::string(word), Place{first, arena_.size() - first}).first;
    }
    const auto first = arena_.begin() + static_cast<std::ptrdiff_t>(found->second.first);
    ids.insert(ids.end(), first, first + static_cast<std::ptrdiff_t>(found->second.count));
  }

 private:
  static constexpr size_t kMaxIds = 1 << 18;
  struct Place {
    size_t first, count;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>{}(word); }
  };

  void forget() {
    places_.clear();
    arena_.clear();
  }

  std::weak_ptr<const Tokenizer::Tables> owner_;
  std::unordered_map<std::string, Place, Hash, std::equal_to<>> places_;
  std::vector<int32_t> arena_;
};

constexpr size_t kMaxCachedBytes = 32;  // longer words rarely repeat

}  // namespace

void Tokenizer::encode(std::string_view text, std::vector<int32_t>& ids) const {
  if (tables_->added.empty()) return encode_words(text, ids);
  size_t from = 0;
  for (auto match = tables_->added.find(text, 0); match; match = tables_->added.find(text, from)) {
    encode_words(text.substr(from, match->begin - from), ids);
    ids.push_back(match->id);
    from = match->end;
  }
  encode_words(text.substr(from), ids);
}

void Tokenizer::encode_words(std::string_view text, std::vector<int32_t>& ids) const {
  thread_local WordCache cache;
  cache.use_for(tables_);
  for_each_word(text, [&](std::string_view word) {
    if (word.size() == 1) {
      ids.push_back(tables_->byte_ids[static_cast<unsigned char>(word[0])]);
    } else if (word.size() <= kMaxCachedBytes) {
      cache.append(*tables_, word, ids);
    } else {
      WordMerger(*tables_, word).run(ids);
    }
  });
}

std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int32_t> ids;
  encode(text, ids);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (id < 0 || id >= size())
      throw std::out_of_range("token id " + std::to_string(id) + " of " + std::to_string(size()));
    bytes += tables_->tokens[static_cast<size_t>(id)];
  }
  return bytes;
}

int64_t Tokenizer::size() const { return static_cast<int64_t>(tables_->tokens.size()); }

const std::string& Tokenizer::fingerprint() const { return tables_->fingerprint; }

}  // namespace cllm
