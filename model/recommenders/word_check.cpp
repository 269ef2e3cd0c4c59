#include "model/recommenders/word_check.h"

#include <optional>

#include "data/errors.h"
#include "model/errors.h"

namespace cllm {
namespace {

/// The tokenizer in the backbone's folder, if there is one of a kind that is known.
std::optional<Tokenizer> tokenizer_of(const std::string& backbone) {
  try {
    return Tokenizer::load(backbone);
  } catch (const DataError&) {
    return {};
  }
}

}  // namespace

void check_words(int64_t rows, const std::string& backbone, const Corpus& corpus, const Tokenizer& used) {
  constexpr int64_t kMostPadding = 1024;
  const int64_t words = corpus.vocabulary().num_words;
  const std::optional<Tokenizer> own = tokenizer_of(backbone);
  const std::string both = "the backbone " + backbone + " has " + std::to_string(rows) + " words, the corpus " +
                           corpus.dir().string() + " was tokenized with " + std::to_string(words);
  if (own && own->fingerprint() != used.fingerprint()) {
    throw OptionError(both + ", and not with the tokenizer of the backbone's folder: `cllm4rec retokenize " +
                      corpus.dir().string() + " --tokenizer " + backbone + "`, or remove the tokenizer there");
  }
  if (rows < words) {
    throw OptionError(both + ": add the rows that are missing (transformers: model.resize_token_embeddings(" +
                      std::to_string(words) + ")), or prepare the corpus with the backbone's tokenizer (--tokenizer)");
  }
  if (!own && rows - words > kMostPadding)
    throw OptionError(both + ": prepare the corpus with the backbone's tokenizer (--tokenizer)");
}

}  // namespace cllm
