#pragma once

#include <cstdint>
#include <string>

#include "data/corpus/corpus.h"
#include "data/text/tokenizer.h"

namespace cllm {

/// Whether a backbone of `rows` words fits a corpus that was tokenized by `used`. Word tables may have more rows than
/// the tokenizer has words (padded to a multiple of 64 to 1,024), and the rows beyond are of no use; of a corpus of
/// other words all would be in disorder. OptionError. Local.
void check_words(int64_t rows, const std::string& backbone, const Corpus& corpus, const Tokenizer& used);

}  // namespace cllm
