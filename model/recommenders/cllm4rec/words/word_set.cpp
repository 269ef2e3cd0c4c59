#include "model/recommenders/cllm4rec/words/word_set.h"

#include "data/errors.h"

namespace cllm {

WordSet::WordSet(const Corpus& corpus, const std::vector<const PromptTemplate*>& prompts)
    : own_(static_cast<size_t>(corpus.vocabulary().num_words), -1) {
  constexpr int32_t kMet = -2;
  const auto keep_met = [&] {
    for (size_t word = 0; word < own_.size(); ++word) {
      if (own_[word] != kMet) continue;
      own_[word] = static_cast<int32_t>(kept_.size());
      kept_.push_back(static_cast<int32_t>(word));
    }
  };
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    for (const int32_t word : corpus.text(n).tokens) own_[static_cast<size_t>(word)] = kMet;
  }
  keep_met();
  num_predicted_ = std::ssize(kept_);
  if (num_predicted_ == 0)
    throw DataError(corpus.dir().string() +
                    ": has no texts, so content.vocabulary = \"corpus\" leaves no words; set \"full\"");
  for (const PromptTemplate* prompt : prompts) {
    for (const PromptPiece& piece : prompt->pieces()) {
      if (piece.kind == PromptPiece::Kind::kWord && own(piece.word) < 0) own_[static_cast<size_t>(piece.word)] = kMet;
    }
  }
  keep_met();
}

std::vector<int32_t> WordSet::own(std::span<const int32_t> words) const {
  std::vector<int32_t> out(words.begin(), words.end());
  for (int32_t& word : out) word = own(word);
  return out;
}

PromptTemplate WordSet::own(const PromptTemplate& prompt) const {
  std::vector<PromptPiece> pieces = prompt.pieces();
  for (PromptPiece& piece : pieces) {
    if (piece.kind == PromptPiece::Kind::kWord) piece.word = own(piece.word);
  }
  return PromptTemplate(std::move(pieces));
}

Vocabulary WordSet::own(Vocabulary vocabulary) const {
  if (!is_all()) vocabulary.num_words = std::ssize(kept_);
  return vocabulary;
}

std::string WordSet::describe() const {
  if (is_all()) return "";
  return "words      " + std::to_string(num_predicted_) + " of " + std::to_string(own_.size()) +
         " occur in the corpus' texts: C-steps predict over these (content.vocabulary = corpus); prompts have " +
         std::to_string(std::ssize(kept_) - num_predicted_) + " others, and no more are held\n";
}

}  // namespace cllm
