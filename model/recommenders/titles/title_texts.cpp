#include "model/recommenders/titles/title_texts.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "model/backbones/load_backbone.h"
#include "model/errors.h"

namespace cllm {
namespace {

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
}

/// The number of the text that is each item's title [J]; -1: none.
std::vector<int64_t> texts_of_items(const Corpus& corpus, const std::string& kind) {
  const std::vector<std::string>& kinds = corpus.text_kinds();
  const auto wanted = std::ranges::find(kinds, kind);
  if (!kind.empty() && wanted == kinds.end()) {
    std::string known;
    for (const std::string& name : kinds) known += (known.empty() ? "" : ", ") + name;
    throw OptionError("titles.kind = \"" + kind + "\": " + corpus.dir().string() + " has texts of the kinds " + known +
                      "; name one of them");
  }
  std::vector<int64_t> out(static_cast<size_t>(corpus.vocabulary().num_items), -1);
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if (text.item < 0 || text.user >= 0) continue;
    if (!kind.empty() && text.kind != wanted - kinds.begin()) continue;
    int64_t& of_item = out[static_cast<size_t>(text.item)];
    if (of_item < 0) of_item = n;
  }
  return out;
}

}  // namespace

std::vector<std::vector<int32_t>> title_tokens(const Corpus& corpus, const Tokenizer& tokenizer,
                                               const TitleTexts& texts, int32_t end, TitleCounts& counts) {
  const std::vector<int64_t> numbers = texts_of_items(corpus, texts.kind);
  std::vector<std::vector<int32_t>> out;
  for (int64_t item = 0; item < std::ssize(numbers); ++item) {
    const int64_t text = numbers[static_cast<size_t>(item)];
    std::string_view title = text < 0 ? std::string_view() : corpus.raw_text(text);
    if (!texts.until.empty()) title = title.substr(0, title.find(texts.until));
    title = without_blanks(title);
    counts.without_text += title.empty() ? 1 : 0;
    if (title.empty()) title = corpus.item_raw_id(item);
    std::vector<int32_t> tokens = tokenizer.encode(texts.lead + std::string(title));
    tokens.erase(std::ranges::find(tokens, end), tokens.end());
    if (tokens.empty()) tokens = tokenizer.encode(corpus.item_raw_id(item));
    counts.cut += std::cmp_greater(tokens.size(), texts.max_tokens) ? 1 : 0;
    tokens.resize(std::min(tokens.size(), static_cast<size_t>(texts.max_tokens)));
    out.push_back(std::move(tokens));
  }
  return out;
}

int32_t end_of_titles(const TitleTexts& texts, const Tokenizer& tokenizer, const std::string& backbone) {
  if (texts.end.empty()) {
    const std::optional<int32_t> eos = read_eos(backbone);
    if (eos && *eos >= 0 && *eos < tokenizer.size()) return *eos;
    const std::vector<int32_t> usual = tokenizer.encode("<|endoftext|>", {.special_words = true});
    if (usual.size() == 1) return usual[0];
    throw OptionError(
        "titles.end is not set, and " + backbone +
        " has no eos_token_id among its words, nor the tokenizer <|endoftext|>: name the token that ends a title, "
        "e.g. titles.end = \"</s>\"");
  }
  const std::vector<int32_t> tokens = tokenizer.encode(texts.end, {.special_words = true});
  if (tokens.size() == 1) return tokens[0];
  throw OptionError("titles.end = \"" + texts.end + "\" is " + std::to_string(tokens.size()) +
                    " tokens: name one token, e.g. \"<|endoftext|>\"");
}

}  // namespace cllm
