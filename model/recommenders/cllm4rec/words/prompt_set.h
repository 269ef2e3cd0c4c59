#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/text/prompt.h"
#include "model/recommenders/cllm4rec/words/word_set.h"

namespace cllm {

/// METHOD.md §3.
struct PromptSet {
  PromptTemplate collaborative;   // names {user}; the history follows as main text
  PromptTemplate recommendation;  // names {user} and {items}; the one of loss.rec_prompt
  PromptTemplate review;          // texts with user and item
  PromptTemplate biography;       // texts with a user only
  PromptTemplate item_content;    // texts with an item only
  std::map<std::string, PromptTemplate> item_content_by_kind = {};  // takes precedence, by name in Corpus::text_kinds()

  std::vector<PromptTemplate*> all();
  /// The same prompts with the ids that their words have there.
  PromptSet in(const WordSet& words) &&;
  /// Tokens of the longest prompt of a text.
  int64_t longest_of_texts() const;
};

}  // namespace cllm
