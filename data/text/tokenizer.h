#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cllm {

/// Calls hand out one text after the other; nullopt ends the stream. A view stays valid until the next call.
using TextSource = std::function<std::optional<std::string_view>()>;

/// Byte-level BPE with GPT-2's word pattern, from Hugging Face files. Any bytes encode without loss: bytes that are not
/// UTF-8 become words of their own. A value: immutable, thread-safe, a copy shares the vocabulary.
class Tokenizer {
 public:
  /// Reads tokenizer.json if the folder has one, else vocab.json + merges.txt. DataError (file, line or key, value) for
  /// anything but a complete byte-level BPE whose ids are 0 .. size - 1.
  static Tokenizer load(const std::filesystem::path& dir);

  /// Deterministic; memory is bounded by the distinct words. Ids: 256 bytes, merges by falling count, <|endoftext|>
  /// last. The result is smaller than vocab_size (at least 257) when no pair is left that occurs twice.
  static Tokenizer train(const TextSource& next_text, int64_t vocab_size);

  /// Added tokens are cut out of `text` first, as the `tokenizers` library does; "<|endoftext|>" and user_3 are
  /// ordinary here (see id_tokens.h).
  std::vector<int32_t> encode(std::string_view text) const;
  void encode(std::string_view text, std::vector<int32_t>& ids) const;  // appends
  /// The bytes that were encoded. Throws std::out_of_range for an id outside 0 .. size - 1.
  std::string decode(std::span<const int32_t> ids) const;

  int64_t size() const;
  /// 32 hex digits over all tokens and merges in order; the same whichever files it came from.
  const std::string& fingerprint() const;
  /// Writes vocab.json, merges.txt and tokenizer.json, byte-identical for equal tokenizers. DataError if a file cannot
  /// be written.
  void save(const std::filesystem::path& dir) const;

  struct Tables;
  /// What the files say; for code in data/text.
  const Tables& tables() const { return *tables_; }
  explicit Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

 private:
  void encode_words(std::string_view text, std::vector<int32_t>& ids) const;

  std::shared_ptr<const Tables> tables_;
};

}  // namespace cllm
