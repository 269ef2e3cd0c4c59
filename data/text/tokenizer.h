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

struct TokenizerParts;  // data/text/tokenizers/parts.h

struct EncodeOptions {
  bool special_words = false;  // what the file calls special ("</s>") is that token in the text, too, not text
  bool around = false;         // with what the file puts around a text: BOS, EOS, [CLS], [SEP]
  bool behind_id = false;      // the text goes on behind an ID token: no dummy prefix (BACKBONES.md §11)
};

/// A tokenizer from Hugging Face files: byte-level BPE, BPE with byte fallback, Unigram, WordPiece. A value: immutable,
/// thread-safe, a copy shares the vocabulary.
class Tokenizer {
 public:
  /// tokenizer.json, else vocab.json + merges.txt (GPT-2's), of a folder; or a file *.gguf, its metadata. DataError
  /// (file, line or key, value) for a part that is not known and for anything but ids 0 .. size - 1.
  static Tokenizer load(const std::filesystem::path& dir);

  /// Byte-level BPE with GPT-2's words. Deterministic; memory is bounded by the distinct words. Ids: 256 bytes, merges
  /// by falling count, <|endoftext|> last. The result is smaller than vocab_size (at least 257) when no pair is left
  /// that occurs twice.
  static Tokenizer train(const TextSource& next_text, int64_t vocab_size);

  /// Any bytes. user_3 is ordinary here (see id_tokens.h). Byte-level tokenizers without a normalizer lose nothing:
  /// bytes that are not UTF-8 become words of their own.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  void encode(std::string_view text, std::vector<int32_t>& ids, EncodeOptions options = {}) const;  // appends
  /// The text of ids; of byte-level tokenizers the bytes that were encoded. Special tokens are written out. Throws
  /// std::out_of_range for an id outside 0 .. size - 1.
  std::string decode(std::span<const int32_t> ids) const;

  /// What the file puts before a text: BOS, [CLS], or nothing.
  std::span<const int32_t> start_of_text() const;

  int64_t size() const;
  /// 32 hex digits over all tokens and merges in order for GPT-2's own kind, whichever files it came from; over
  /// tokenizer.json for all others.
  const std::string& fingerprint() const;
  /// Writes tokenizer.json, and vocab.json and merges.txt for GPT-2's own kind; byte-identical for equal tokenizers.
  /// DataError if a file cannot be written.
  void save(const std::filesystem::path& dir) const;

  /// For code in data/text.
  const TokenizerParts& parts() const { return *parts_; }
  explicit Tokenizer(std::shared_ptr<const TokenizerParts> parts) : parts_(std::move(parts)) {}

 private:
  std::shared_ptr<const TokenizerParts> parts_;
};

}  // namespace cllm
