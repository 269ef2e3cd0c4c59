#include "data/text/tokenizer.h"

#include <stdexcept>

#include "data/text/tokenizers/parts.h"

namespace cllm {
namespace {

/// Takes one text through the parts.
class Encoder {
 public:
  Encoder(const TokenizerParts& parts, EncodeOptions options, std::vector<int32_t>& ids)
      : parts_(parts), options_(options), ids_(ids) {}

  void run(std::string_view text) {
    parts_.added.split(
        text, false, options_.special_words,
        [&](std::string_view fragment, size_t start) {
          normalise(fragment, {start == 0 && !options_.behind_id, options_.behind_id && start == 0});
        },
        [&](int32_t id) { ids_.push_back(id); });
  }

 private:
  void normalise(std::string_view fragment, TextPlace place) {
    std::string normalised;
    if (parts_.normalizer) {
      normalised = fragment;
      parts_.normalizer->apply(normalised, place);
      fragment = normalised;
    }
    parts_.added.split(
        fragment, true, options_.special_words,
        [&](std::string_view piece, size_t start) { cut(piece, start == 0 ? place : TextPlace{}); },
        [&](int32_t id) { ids_.push_back(id); });
  }

  void cut(std::string_view fragment, TextPlace place) {
    if (!parts_.pre_tokenizer) return parts_.model->encode(fragment, ids_);
    parts_.pre_tokenizer->split(fragment, place,
                                [this](std::string_view piece, TextPlace) { parts_.model->encode(piece, ids_); });
  }

  const TokenizerParts& parts_;
  EncodeOptions options_;
  std::vector<int32_t>& ids_;
};

}  // namespace

void Tokenizer::encode(std::string_view text, std::vector<int32_t>& ids, EncodeOptions options) const {
  const TokensAround& around = parts_->around;
  if (options.around) ids.insert(ids.end(), around.before.begin(), around.before.end());
  Encoder(*parts_, options, ids).run(text);
  if (options.around) ids.insert(ids.end(), around.behind.begin(), around.behind.end());
}

std::span<const int32_t> Tokenizer::start_of_text() const { return parts_->around.before; }

std::vector<int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<int32_t> ids;
  encode(text, ids, options);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    if (id < 0 || id >= size())
      throw std::out_of_range("token id " + std::to_string(id) + " of " + std::to_string(size()));
    tokens.push_back(parts_->tokens[static_cast<size_t>(id)]);
  }
  if (parts_->decoder) parts_->decoder->apply(tokens);
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

int64_t Tokenizer::size() const { return static_cast<int64_t>(parts_->tokens.size()); }

const std::string& Tokenizer::fingerprint() const { return parts_->fingerprint; }

}  // namespace cllm
