#pragma once

// The parts of a tokenizer, in the order in which a text passes them: added tokens are cut out (added_tokens.h), each
// fragment between them is normalised, cut into pieces, and each piece becomes ids. Parts are immutable and
// thread-safe. Internal to data/text.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/text/tokenizers/added_tokens.h"

namespace cllm {

/// Where a fragment or a piece of one stands.
struct TextPlace {
  bool starts_text = false;  // its first character is the first of the whole text
  bool no_prefix = false;    // it goes on without a gap behind an ID token: no dummy prefix may be put before it
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(std::string& text, TextPlace place) const = 0;
};

/// Valid during the call only.
using PieceSink = std::function<void(std::string_view piece, TextPlace place)>;

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Hands out the pieces of `text`, none of them empty, in order.
  virtual void split(std::string_view text, TextPlace place, const PieceSink& use) const = 0;
};

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  /// Appends the ids of one piece.
  virtual void encode(std::string_view piece, std::vector<int32_t>& ids) const = 0;
};

class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  /// Changes the tokens; joined, they are the text.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// What the file puts around a text: [CLS] and [SEP], BOS, EOS.
struct TokensAround {
  std::vector<int32_t> before, behind;
};

/// A tokenizer. Absent parts do nothing.
struct TokenizerParts {
  std::vector<std::string> tokens;  // id -> bytes; of byte-level tokenizers the bytes that the symbols stand for
  AddedTokens added;
  std::unique_ptr<Normalizer> normalizer;
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  std::unique_ptr<TokenModel> model;
  TokensAround around;
  std::unique_ptr<TokenDecoder> decoder;
  std::string fingerprint;
  /// tokenizer.json, compact and with sorted keys; empty for GPT-2's own kind, which is all in tokens and merges.
  std::string file;
  std::vector<std::pair<int32_t, int32_t>> merges;  // of GPT-2's own kind, by rank
};

/// Ids of tokens; the keys are views of strings that must stay where they are.
using TokenIds = std::unordered_map<std::string_view, int32_t>;

}  // namespace cllm
