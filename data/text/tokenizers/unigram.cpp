#include <algorithm>
#include <limits>

#include "data/errors.h"
#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/models.h"
#include "data/text/tokenizers/trie.h"

namespace cllm {
namespace {

constexpr double kUnknownPenalty = 10;  // sentencepiece/src/unigram_model.cc

class Unigram : public TokenModel {
 public:
  Unigram(const std::vector<ScoredPiece>& pieces, std::optional<int32_t> unknown, bool byte_fallback)
      : unknown_(unknown) {
    size_t bytes = 0;
    double lowest = pieces.empty() ? 0 : std::numeric_limits<double>::infinity();
    for (const ScoredPiece& piece : pieces) {
      bytes += piece.text.size();
      scores_.push_back(piece.score);
      lowest = std::min(lowest, piece.score);
    }
    unknown_score_ = lowest - kUnknownPenalty;
    trie_ = Trie(bytes);
    TokenIds ids;
    for (size_t n = 0; n < pieces.size(); ++n) {
      trie_.insert(pieces[n].text, static_cast<int32_t>(n));
      ids.emplace(pieces[n].text, static_cast<int32_t>(n));
    }
    if (byte_fallback) byte_ids_ = byte_tokens(ids).value_or(std::vector<int32_t>{});
  }

  void encode(std::string_view piece, std::vector<int32_t>& ids) const override {
    if (piece.empty()) return;
    const std::vector<Node> best = best_paths(piece);
    const size_t first = ids.size();
    bool after_unknown = false;  // from the end to the start
    for (size_t end = piece.size(); end > 0; end = best[end].start) {
      const bool unknown = best[end].id < 0;
      if (!unknown) {
        ids.push_back(best[end].id);
      } else if (!byte_ids_.empty()) {
        for (size_t n = end; n > best[end].start; --n)
          ids.push_back(byte_ids_[static_cast<unsigned char>(piece[n - 1])]);
      } else if (!after_unknown) {
        ids.push_back(*unknown_);
      }
      after_unknown = unknown;
    }
    std::reverse(ids.begin() + static_cast<std::ptrdiff_t>(first), ids.end());
  }

 private:
  /// The best way to a place: its last piece and where that starts. id -1: an unknown character.
  struct Node {
    double score = -std::numeric_limits<double>::infinity();
    size_t start = 0;
    int32_t id = -1;
    bool reached = false;

    void offer(double candidate, size_t from, int32_t piece) {
      if (reached && !(candidate > score)) return;
      *this = {candidate, from, piece, true};
    }
  };

  std::vector<Node> best_paths(std::string_view text) const {
    std::vector<Node> best(text.size() + 1);
    best[0].score = 0;
    size_t character = 0;
    for (size_t start = 0; start < text.size(); start += character) {
      character = code_point_at(text, start).bytes;
      bool known = false;
      int32_t node = Trie::kRoot;
      for (size_t end = start; end < text.size();) {
        node = trie_.step(node, text[end++]);
        if (node < 0) break;
        const int32_t id = trie_.id_at(node);
        if (id < 0) continue;
        best[end].offer(best[start].score + scores_[static_cast<size_t>(id)], start, id);
        known = known || end == start + character;
      }
      if (!known) best[start + character].offer(best[start].score + unknown_score_, start, -1);
    }
    return best;
  }

  Trie trie_;
  std::vector<double> scores_;
  double unknown_score_;
  std::optional<int32_t> unknown_;
  std::vector<int32_t> byte_ids_;  // of <0xHH>; empty: no fallback
};

}  // namespace

std::unique_ptr<TokenModel> make_unigram(const std::vector<ScoredPiece>& pieces, std::optional<int32_t> unknown,
                                         bool byte_fallback, const std::string& where) {
  if (!unknown) throw DataError(where + ": unk_id is not set; a Unigram model needs one");
  if (*unknown < 0 || static_cast<size_t>(*unknown) >= pieces.size())
    throw DataError(where + ": unk_id is " + std::to_string(*unknown) + " of " + std::to_string(pieces.size()) +
                    " pieces");
  return std::make_unique<Unigram>(pieces, unknown, byte_fallback);
}

}  // namespace cllm
