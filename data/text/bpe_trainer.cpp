// Tokenizer::train: byte-pair encoding (Sennrich et al., ACL 2016) over GPT-2's words. As in the Hugging Face trainer,
// the most frequent pair is merged next and the pair of smaller ids wins a tie, so that equal texts give equal
// vocabularies.

#include <algorithm>
#include <queue>
#include <stdexcept>
#include <unordered_set>

#include "data/random.h"
#include "data/text/characters/word_split.h"
#include "data/text/tokenizer.h"
#include "data/text/tokenizers/byte_symbols.h"
#include "data/text/tokenizers/tokenizer_json.h"

namespace cllm {
namespace {

constexpr int64_t kMinCount = 2;         // a pair seen once teaches nothing
constexpr size_t kMaxWords = 4'000'000;  // distinct words kept while counting: about 400 MB
constexpr size_t kMaxWordBytes = 64;     // longer ones are noise (URLs, base64), and would dominate the cost

using Pair = std::pair<int32_t, int32_t>;
struct PairHash {
  size_t operator()(const Pair& pair) const {
    return mix64((static_cast<uint64_t>(static_cast<uint32_t>(pair.first)) << 32) | static_cast<uint32_t>(pair.second));
  }
};

struct Word {
  std::vector<int32_t> symbols;
  int64_t count;
};

/// Distinct words of all texts, in byte order, so that nothing later depends on a hash.
std::vector<std::pair<std::string, int64_t>> count_words(const TextSource& next_text) {
  std::unordered_map<std::string, int64_t> counts;
  while (const std::optional<std::string_view> text = next_text()) {
    for_each_word(*text, [&](std::string_view word) {
      if (word.size() > 1 && word.size() <= kMaxWordBytes) ++counts[std::string(word)];
    });
    for (int64_t rare = 1; counts.size() > kMaxWords; rare *= 2)
      std::erase_if(counts, [&](const auto& entry) { return entry.second <= rare; });
  }
  std::vector<std::pair<std::string, int64_t>> words(counts.begin(), counts.end());
  std::sort(words.begin(), words.end());
  return words;
}

class BpeTrainer {
 public:
  explicit BpeTrainer(const std::vector<std::pair<std::string, int64_t>>& words) {
    std::array<int32_t, 256> byte_ids{};
    for (const unsigned char byte : bytes_in_symbol_order()) {
      byte_ids[byte] = static_cast<int32_t>(tokens_.size());
      tokens_.emplace_back(1, static_cast<char>(byte));
    }
    for (const auto& [text, count] : words) {
      Word word{.symbols = {}, .count = count};
      for (const char c : text) word.symbols.push_back(byte_ids[static_cast<unsigned char>(c)]);
      words_.push_back(std::move(word));
    }
    for (size_t n = 0; n < words_.size(); ++n) count_pairs(n);
    for (const auto& [pair, places] : places_) queue_.push({counts_[pair], pair});
  }

  /// Merges until there are `size` tokens or no pair occurs kMinCount times.
  void run(size_t size) {
    while (tokens_.size() < size && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const int64_t count = counts_[best.pair];
      if (count < kMinCount) continue;
      if (count != best.count) {
        queue_.push({count, best.pair});  // counts fall when neighbours merge: try again with the true one
      } else {
        merge(best.pair);
      }
    }
  }

  Tokenizer finish() && {
    tokens_.emplace_back(kEndOfText);
    return Tokenizer(gpt2_parts(std::move(tokens_), merges_, "trained tokenizer"));
  }

 private:
  struct Candidate {
    int64_t count;
    Pair pair;
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  void count_pairs(size_t n) {
    const Word& word = words_[n];
    for (size_t k = 0; k + 1 < word.symbols.size(); ++k) add({word.symbols[k], word.symbols[k + 1]}, word.count, n);
  }

  void add(const Pair& pair, int64_t count, size_t word) {
    counts_[pair] += count;
    std::vector<uint32_t>& places = places_[pair];
    if (places.empty() || places.back() != word) places.push_back(static_cast<uint32_t>(word));
  }

  void merge(const Pair& pair) {
    const std::string bytes = tokens_[static_cast<size_t>(pair.first)] + tokens_[static_cast<size_t>(pair.second)];
    // The same bytes by another pair (ab + c, a + bc): one token, two ways to it.
    const auto [found, is_new] = ids_.emplace(bytes, static_cast<int32_t>(tokens_.size()));
    if (is_new) tokens_.push_back(bytes);
    // A pair can come back when a later merge makes one of its symbols the second way; its merge stands already.
    if (merged_.insert(pair).second)
      merges_.emplace_back(tokens_[static_cast<size_t>(pair.first)], tokens_[static_cast<size_t>(pair.second)]);
    std::unordered_set<Pair, PairHash> grown;
    for (const uint32_t n : places_[pair]) merge_in(n, pair, found->second, grown);
    places_.erase(pair);
    counts_.erase(pair);
    for (const Pair& other : grown) queue_.push({counts_[other], other});
  }

  /// Replaces the pair in one word. Pairs that vanish lose the word's count; those that arise gain it and are listed in
  /// `grown`.
  void merge_in(uint32_t n, const Pair& pair, int32_t merged, std::unordered_set<Pair, PairHash>& grown) {
    Word& word = words_[n];
    std::vector<int32_t>& symbols = word.symbols;
    size_t kept = 0;
    for (size_t k = 0; k < symbols.size(); ++k) {
      const bool here = k + 1 < symbols.size() && symbols[k] == pair.first && symbols[k + 1] == pair.second;
      if (!here) {
        symbols[kept++] = symbols[k];
        continue;
      }
      if (kept > 0) replace({symbols[kept - 1], pair.first}, {symbols[kept - 1], merged}, n, grown);
      if (k + 2 < symbols.size()) replace({pair.second, symbols[k + 2]}, {merged, symbols[k + 2]}, n, grown);
      symbols[kept++] = merged;
      ++k;
    }
    symbols.resize(kept);
  }

  void replace(const Pair& old_pair, const Pair& new_pair, uint32_t word, std::unordered_set<Pair, PairHash>& grown) {
    const int64_t count = words_[word].count;
    if (const auto old = counts_.find(old_pair); old != counts_.end()) old->second -= count;
    add(new_pair, count, word);
    grown.insert(new_pair);
  }

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<std::pair<std::string, std::string>> merges_;
  std::unordered_set<Pair, PairHash> merged_;
  std::vector<Word> words_;
  std::unordered_map<Pair, int64_t, PairHash> counts_;
  std::unordered_map<Pair, std::vector<uint32_t>, PairHash> places_;  // words that hold the pair, or held it
  std::priority_queue<Candidate> queue_;
};

}  // namespace

Tokenizer Tokenizer::train(const TextSource& next_text, int64_t vocab_size) {
  if (vocab_size < 257) throw std::invalid_argument("train: a byte-level vocabulary has at least 257 tokens");
  BpeTrainer trainer(count_words(next_text));
  trainer.run(static_cast<size_t>(vocab_size) - 1);
  return std::move(trainer).finish();
}

}  // namespace cllm
