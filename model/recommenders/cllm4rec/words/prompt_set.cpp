#include "model/recommenders/cllm4rec/words/prompt_set.h"

#include <algorithm>
#include <utility>

namespace cllm {

std::vector<PromptTemplate*> PromptSet::all() {
  std::vector<PromptTemplate*> out{&collaborative, &recommendation, &review, &biography, &item_content};
  for (auto& [kind, prompt] : item_content_by_kind) out.push_back(&prompt);
  return out;
}

PromptSet PromptSet::in(const WordSet& words) && {
  PromptSet out = std::move(*this);
  for (PromptTemplate* prompt : out.all()) *prompt = words.own(*prompt);
  return out;
}

int64_t PromptSet::longest_of_texts() const {
  int64_t longest = std::max({review.fixed_length(), biography.fixed_length(), item_content.fixed_length()});
  for (const auto& [kind, prompt] : item_content_by_kind) longest = std::max(longest, prompt.fixed_length());
  return longest;
}

}  // namespace cllm
