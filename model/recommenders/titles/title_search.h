#pragma once

// Letters: W beams, L titles.

#include <cstdint>
#include <span>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/losses/words/listed_softmax.h"
#include "model/recommenders/titles/trie.h"

namespace cllm {

/// The tokens before the title that is asked for, and the titles that may not be answered, ascending.
struct TitleQuestion {
  std::vector<int32_t> prompt, dead_leaves;
};

/// A title and the sum of ln P of its tokens, the end included.
struct ScoredTitle {
  int32_t leaf = 0;
  double score = 0;

  friend bool operator<(const ScoredTitle& a, const ScoredTitle& b) {
    return a.score != b.score ? a.score > b.score : a.leaf < b.leaf;
  }
};

/// Beam search along a trie: nothing but its titles can be written. Tokens that are the only way on take no step of
/// their own: they are scored together with what follows them. With as many beams as titles the answer is exact.
class TitleSearch {
 public:
  struct Setup {
    int64_t beams = 20;
    ListedSoftmax softmax = {};
  };
  /// Both outlive it.
  TitleSearch(const Backbone& backbone, const TitleTrie& trie, at::Device device)
      : backbone_(backbone), trie_(trie), device_(device) {}

  /// The best titles of every question, best first, at most W of each; scores are exact. Local, without a graph.
  std::vector<std::vector<ScoredTitle>> best(std::span<const TitleQuestion> questions, const Setup& setup) const;

 private:
  /// A beginning of titles of which the first `scored` tokens are in the score.
  struct Beam {
    int32_t node = TitleTrie::kRoot, scored = 0;
    double score = 0;
  };
  struct State {
    std::vector<Beam> live;
    std::vector<ScoredTitle> done;
  };
  /// A beam of a question, to be scored.
  struct Asked {
    const TitleQuestion* question;
    Beam* beam;
    std::vector<double> children;  // ln P of the node's children, found
  };

  class Pass;

  void score(std::span<Asked> asked, const ListedSoftmax& softmax) const;
  void expand(const Asked& asked, bool restricted, State& next) const;
  bool is_alive(const TitleQuestion& question, const TitleTrie::Node& node) const;
  std::span<const int32_t> path(const TitleTrie::Node& node) const;

  const Backbone& backbone_;
  const TitleTrie& trie_;
  at::Device device_;
};

}  // namespace cllm
