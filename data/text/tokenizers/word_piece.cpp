#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/models.h"
#include "data/text/tokenizers/trie.h"

namespace cllm {
namespace {

class WordPiece : public TokenModel {
 public:
  WordPiece(const TokenIds& ids, const WordPieceOptions& options) : options_(options) {
    size_t bytes = 0;
    for (const auto& [text, id] : ids) bytes += text.size();
    trie_ = Trie(bytes);
    for (const auto& [text, id] : ids) trie_.insert(text, id);
    inside_ = trie_.walk(options.prefix);
  }

  void encode(std::string_view word, std::vector<int32_t>& ids) const override {
    const size_t first = ids.size();
    bool known = characters(word) <= options_.max_characters;
    for (size_t start = 0; known && start < word.size();) {
      const int32_t node = start == 0 ? Trie::kRoot : inside_;
      const Trie::Found found = node < 0 ? Trie::Found{} : trie_.longest(word.substr(start), node);
      known = found.id >= 0;
      if (known) ids.push_back(found.id);
      start += found.bytes;
    }
    if (known) return;
    ids.resize(first);
    ids.push_back(options_.unknown);
  }

 private:
  static size_t characters(std::string_view word) {
    size_t count = 0;
    for_each_code_point(word, [&](int32_t, std::string_view) { ++count; });
    return count;
  }

  WordPieceOptions options_;
  Trie trie_;
  int32_t inside_;  // the node behind the prefix, -1 if no piece has it
};

}  // namespace

std::unique_ptr<TokenModel> make_word_piece(const TokenIds& ids, const WordPieceOptions& options) {
  return std::make_unique<WordPiece>(ids, options);
}

}  // namespace cllm
