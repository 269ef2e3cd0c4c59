#pragma once

#include <cstdint>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/text/tokenizer.h"
#include "model/recommenders/titles/options.h"

namespace cllm {

/// What became of the titles, for a person.
struct TitleCounts {
  int64_t without_text = 0, cut = 0;  // called by their raw ids; longer than TitleTexts::max_tokens
};

/// Tokens of every item's title [J], without its end: the item's text of the kind that is asked for, up to
/// TitleTexts::until, without blanks at its ends; an item without one is called by its raw id. At least one token, at
/// most max_tokens, none of which is `end`. OptionError for a kind that the corpus has not.
std::vector<std::vector<int32_t>> title_tokens(const Corpus& corpus, const Tokenizer& tokenizer,
                                               const TitleTexts& texts, int32_t end, TitleCounts& counts);

/// The token that ends a title: TitleTexts::end; else eos_token_id of the backbone, else <|endoftext|>. OptionError:
/// the text is not one token, or there is none.
int32_t end_of_titles(const TitleTexts& texts, const Tokenizer& tokenizer, const std::string& backbone);

}  // namespace cllm
