#include <algorithm>
#include <charconv>

#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/json_reading.h"

namespace cllm {
namespace {

using Tokens = std::vector<std::string>;

/// Each token on its own.
class PerToken : public TokenDecoder {
 public:
  void apply(Tokens& tokens) const override {
    for (size_t n = 0; n < tokens.size(); ++n) tokens[n] = change(tokens[n], n == 0);
  }

 private:
  virtual std::string change(const std::string& token, bool first) const = 0;
};

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

class ReplaceDecoder : public PerToken {
 public:
  ReplaceDecoder(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}

 private:
  std::string change(const std::string& token, bool) const override { return replace_all(token, pattern_, content_); }
  Regex pattern_;
  std::string content_;
};

/// Cuts up to so many of one character off both ends of each token.
class StripDecoder : public PerToken {
 public:
  StripDecoder(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

 private:
  std::string change(const std::string& token, bool) const override {
    std::string_view rest = token;
    for (int64_t n = 0; n < start_ && rest.starts_with(content_); ++n) rest.remove_prefix(content_.size());
    for (int64_t n = 0; n < stop_ && rest.ends_with(content_); ++n) rest.remove_suffix(content_.size());
    return std::string(rest);
  }
  std::string content_;
  int64_t start_, stop_;
};

class MetaspaceDecoder : public PerToken {
 public:
  MetaspaceDecoder(std::string mark, bool has_prefix) : mark_(std::move(mark)), has_prefix_(has_prefix) {}

 private:
  std::string change(const std::string& token, bool first) const override {
    return replaced(token, mark_, first && has_prefix_ ? "" : " ");
  }
  std::string mark_;
  bool has_prefix_;
};

class WordPieceDecoder : public PerToken {
 public:
  WordPieceDecoder(std::string prefix, bool clean) : prefix_(std::move(prefix)), clean_(clean) {}

 private:
  std::string change(const std::string& token, bool first) const override {
    std::string text = token;
    if (!first) text = token.starts_with(prefix_) ? token.substr(prefix_.size()) : " " + token;
    return clean_ ? cleaned(std::move(text)) : text;
  }

  static std::string cleaned(std::string text) {
    constexpr std::pair<const char*, const char*> kEndings[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kEndings) text = replaced(std::move(text), from, to);
    return text;
  }

  std::string prefix_;
  bool clean_;
};

std::optional<char> byte_named(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

/// Runs of tokens such as <0xC3> become their bytes; if these are no UTF-8, as many replacement characters.
class ByteFallback : public TokenDecoder {
 public:
  void apply(Tokens& tokens) const override {
    Tokens out;
    std::string bytes;
    for (std::string& token : tokens) {
      if (const std::optional<char> byte = byte_named(token)) {
        bytes += *byte;
        continue;
      }
      flush(bytes, out);
      out.push_back(std::move(token));
    }
    flush(bytes, out);
    tokens = std::move(out);
  }

 private:
  static void flush(std::string& bytes, Tokens& out) {
    bool valid = true;
    for_each_code_point(bytes, [&](int32_t code, std::string_view) { valid = valid && code >= 0; });
    if (valid && !bytes.empty()) out.push_back(bytes);
    if (!valid) out.insert(out.end(), bytes.size(), "\uFFFD");
    bytes.clear();
  }
};

class Fuse : public TokenDecoder {
 public:
  void apply(Tokens& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens = {std::move(all)};
  }
};

class InTurn : public TokenDecoder {
 public:
  explicit InTurn(std::vector<std::unique_ptr<TokenDecoder>> parts) : parts_(std::move(parts)) {
    std::erase(parts_, nullptr);
  }
  void apply(Tokens& tokens) const override {
    for (const auto& part : parts_) part->apply(tokens);
  }

 private:
  std::vector<std::unique_ptr<TokenDecoder>> parts_;
};

int64_t count(const JsonPart& part, const char* key) {
  const nlohmann::json& value = part.json.at(key);
  constexpr int64_t kMost = 1 << 20;
  part.require(value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() <= kMost,
               std::string(key) + " is " + value.dump() + ", not a small number");
  return value.get<int64_t>();
}

}  // namespace

std::unique_ptr<TokenDecoder> make_decoder(const JsonPart& part) {
  if (part.json.is_null()) return nullptr;
  const std::string type = part.type();
  if (type == "Sequence") return std::make_unique<InTurn>(part.each("decoders", make_decoder));
  if (type == "ByteLevel") return nullptr;  // tokens are bytes already
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Replace")
    return std::make_unique<ReplaceDecoder>(part.pattern("pattern"), part.json.at("content").get<std::string>());
  if (type == "Strip")
    return std::make_unique<StripDecoder>(part.character("content", " "), count(part, "start"), count(part, "stop"));
  if (type == "Metaspace") {
    const bool never = part.text("prepend_scheme", part.flag("add_prefix_space", true) ? "always" : "never") == "never";
    return std::make_unique<MetaspaceDecoder>(part.character("replacement", "\u2581"), !never);
  }
  if (type == "WordPiece")
    return std::make_unique<WordPieceDecoder>(part.text("prefix", "##"), part.flag("cleanup", true));
  part.refuse("type is '" + type +
              "'; known are Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece");
}

}  // namespace cllm
