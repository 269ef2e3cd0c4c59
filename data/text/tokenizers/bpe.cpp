#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>

#include "data/errors.h"
#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/byte_symbols.h"
#include "data/text/tokenizers/merge_table.h"
#include "data/text/tokenizers/models.h"

namespace cllm {
namespace {

/// Merges the symbols of one word: always the pair of lowest rank, the leftmost of equals. O(n log n) for n symbols, so
/// that a word of a megabyte (one long run of letters) is no trap.
class WordMerger {
 public:
  WordMerger(const MergeTable& merges, std::vector<int32_t>& ids, size_t first)
      : merges_(merges), nodes_(ids.size() - first) {
    const int32_t size = static_cast<int32_t>(nodes_.size());
    for (int32_t n = 0; n < size; ++n)
      node(n) = {ids[first + static_cast<size_t>(n)], n - 1, n + 1 < size ? n + 1 : -1};
    for (int32_t n = 0; n + 1 < size; ++n) offer(n);
    std::make_heap(candidates_.begin(), candidates_.end(), Later{});
    ids.resize(first);
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

  bool offer(int32_t left) {
    const int32_t left_id = node(left).id, right_id = node(node(left).next).id;
    const MergeTable::Merge merge = merges_.find(left_id, right_id);
    if (merge.rank < 0) return false;
    candidates_.push_back({merge.rank, left, left_id, right_id, merge.merged});
    return true;
  }

  void push(int32_t left) {
    if (offer(left)) std::push_heap(candidates_.begin(), candidates_.end(), Later{});
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
      push(candidate.left);
    }
    if (left.previous >= 0) push(left.previous);
  }

  const MergeTable& merges_;
  std::vector<Node> nodes_;
  std::vector<Candidate> candidates_;
};

/// Words repeat: a thread remembers the ids of those it met. Holds about 20 MB at most, then starts anew.
class WordCache {
 public:
  void use_for(uint64_t model) {
    if (owner_ != model) forget();
    owner_ = model;
  }

  template <typename Encode>
  void append(std::string_view word, std::vector<int32_t>& ids, Encode&& encode) {
    if (arena_.size() > kMaxIds) forget();
    auto found = places_.find(word);
    if (found == places_.end()) {
      const size_t first = arena_.size();
      encode(arena_);
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

  uint64_t owner_ = 0;
  std::unordered_map<std::string, Place, Hash, std::equal_to<>> places_;
  std::vector<int32_t> arena_;
};

constexpr size_t kMaxCachedBytes = 32;  // longer words rarely repeat

/// Each model of the process has its own, so that a cache never serves another one.
uint64_t next_serial() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

class Bpe : public TokenModel {
 public:
  Bpe(const TokenIds& ids, const BpeOptions& options, MergeTable merges, const std::string& where)
      : options_(options), merges_(std::move(merges)) {
    if (options.ignore_merges || !options.bytes)
      for (const auto& [text, id] : ids) ids_.emplace(std::string(text), id);
    for (size_t byte = 0; options.bytes && byte < 256; ++byte) {
      const std::string text(1, static_cast<char>(byte));
      const auto found = ids.find(text);
      if (found == ids.end())
        throw DataError(where + ": token '" + bytes_to_symbols(text) + "' is not in the vocabulary");
      byte_ids_.push_back(found->second);
    }
    if (options.byte_fallback && !options.bytes) byte_ids_ = byte_tokens(ids).value_or(std::vector<int32_t>{});
  }

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    if (options_.bytes && piece.size() == 1) return ids.push_back(byte_ids_[static_cast<unsigned char>(piece[0])]);
    if (piece.size() > kMaxCachedBytes) return encode_anew(piece, ids);
    thread_local WordCache cache;
    cache.use_for(serial_);
    cache.append(piece, ids, [&](std::vector<int32_t>& out) { encode_anew(piece, out); });
  }

 private:
  void encode_anew(std::string_view piece, std::vector<int32_t>& ids) const {
    if (options_.ignore_merges) {
      if (const auto found = ids_.find(piece); found != ids_.end()) return ids.push_back(found->second);
    }
    const size_t first = ids.size();
    if (options_.bytes) {
      for (const char c : piece) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
    } else {
      append_characters(piece, ids);
    }
    WordMerger(merges_, ids, first).run(ids);
  }

  void append_characters(std::string_view piece, std::vector<int32_t>& ids) const {
    bool after_unknown = false;
    for_each_code_point(piece, [&](int32_t, std::string_view character) {
      const auto found = ids_.find(character);
      const bool unknown = found == ids_.end() && byte_ids_.empty();
      if (found != ids_.end()) {
        ids.push_back(found->second);
      } else if (!byte_ids_.empty()) {
        for (const char c : character) ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
      } else if (options_.unknown && !(after_unknown && options_.fuse_unknown)) {
        ids.push_back(*options_.unknown);
      }
      after_unknown = unknown;
    });
  }

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  const uint64_t serial_ = next_serial();
  BpeOptions options_;
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;  // where characters or pieces are looked up
  std::vector<int32_t> byte_ids_;                                        // of bytes, or of <0xHH>; empty: no fallback
  MergeTable merges_;
};

int32_t id_of(const TokenIds& ids, const std::string& token, const std::string& where) {
  const auto found = ids.find(token);
  if (found == ids.end()) throw DataError(where + ": token '" + bytes_to_symbols(token) + "' is not in the vocabulary");
  return found->second;
}

}  // namespace

std::optional<std::vector<int32_t>> byte_tokens(const TokenIds& ids) {
  std::vector<int32_t> out;
  for (unsigned byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    const auto found = ids.find(std::string_view(name));
    if (found == ids.end()) return std::nullopt;
    out.push_back(found->second);
  }
  return out;
}

std::unique_ptr<TokenModel> make_bpe(const TokenIds& ids, const MergeList& merges, const BpeOptions& options,
                                     const std::string& where, std::vector<std::pair<int32_t, int32_t>>* merge_ids) {
  MergeTable table(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const std::string here = where + ": merge " + std::to_string(rank + 1);
    const int32_t left_id = id_of(ids, left, here), right_id = id_of(ids, right, here);
    if (merge_ids) merge_ids->emplace_back(left_id, right_id);
    if (!table.insert(left_id, right_id, {static_cast<int32_t>(rank), id_of(ids, left + right, here)}))
      throw DataError(here + ": '" + bytes_to_symbols(left) + " " + bytes_to_symbols(right) + "' occurs twice");
  }
  return std::make_unique<Bpe>(ids, options, std::move(table), where);
}

}  // namespace cllm
