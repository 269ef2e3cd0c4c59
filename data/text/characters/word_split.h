#pragma once

#include <functional>
#include <string_view>

namespace cllm {

/// GPT-2's words, as tokenizer files write it.
inline constexpr char kGpt2Words[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/// Cuts a text into the words of GPT-2's pattern and hands them out in order; together they are the text. Words never
/// span merges. Bytes that are not UTF-8 become words of their own. Thread-safe.
template <typename Use>
void for_each_word(std::string_view text, Use&& use);

/// End of the word that starts at `start` < text.size().
size_t word_end(std::string_view text, size_t start);

template <typename Use>
void for_each_word(std::string_view text, Use&& use) {
  for (size_t start = 0; start < text.size();) {
    const size_t end = word_end(text, start);
    use(text.substr(start, end - start));
    start = end;
  }
}

}  // namespace cllm
