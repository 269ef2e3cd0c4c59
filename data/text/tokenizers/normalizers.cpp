#include <algorithm>

#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/json_reading.h"

namespace cllm {
namespace {

class Form : public Normalizer {
 public:
  explicit Form(NormalForm form) : form_(form) {}
  void apply(std::string& text, TextPlace) const override { text = normal_form(text, form_); }

 private:
  NormalForm form_;
};

/// Each character on its own.
class PerCharacter : public Normalizer {
 public:
  using Rule = void (*)(std::string& out, int32_t code);
  explicit PerCharacter(Rule rule) : rule_(rule) {}

  void apply(std::string& text, TextPlace) const override {
    std::string out;
    out.reserve(text.size());
    for_each_code_point(text, [&](int32_t code, std::string_view bytes) {
      if (code < 0) {
        out += bytes;
      } else {
        rule_(out, code);
      }
    });
    text = std::move(out);
  }

 private:
  Rule rule_;
};

void drop_mark(std::string& out, int32_t code) {
  if (!is_mark(code)) append_utf8(out, code);
}

/// clean_text: white space becomes a blank, control characters vanish.
void clean(std::string& out, int32_t code) {
  constexpr int32_t kReplacement = 0xFFFD;
  const bool line = code == '\t' || code == '\n' || code == '\r';
  if (code == kReplacement || (!line && is_other(code))) return;
  if (line || is_space(code)) {
    out += ' ';
  } else {
    append_utf8(out, code);
  }
}

void space_out(std::string& out, int32_t code) {
  if (is_chinese(code)) out += ' ';
  append_utf8(out, code);
  if (is_chinese(code)) out += ' ';
}

void drop_accent(std::string& out, int32_t code) {
  if (!is_nonspacing_mark(code)) append_utf8(out, code);
}

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text, TextPlace) const override {
    std::string_view rest = text;
    while (right_ && !rest.empty() && is_space(last_code_point(rest).value))
      rest.remove_suffix(last_code_point(rest).bytes);
    while (left_ && !rest.empty() && is_space(code_point_at(rest, 0).value))
      rest.remove_prefix(code_point_at(rest, 0).bytes);
    text = std::string(rest);
  }

 private:
  bool left_, right_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(std::string& text, TextPlace place) const override {
    if (!text.empty() && !place.no_prefix) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  Replace(Regex pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string& text, TextPlace) const override { text = replace_all(text, pattern_, content_); }

 private:
  Regex pattern_;
  std::string content_;
};

class InTurn : public Normalizer {
 public:
  explicit InTurn(std::vector<std::unique_ptr<Normalizer>> parts) : parts_(std::move(parts)) {}
  void apply(std::string& text, TextPlace place) const override {
    for (const auto& part : parts_) part->apply(text, place);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> parts_;
};

template <typename Part, typename... Arguments>
std::unique_ptr<Normalizer> make(Arguments&&... arguments) {
  return std::make_unique<Part>(std::forward<Arguments>(arguments)...);
}

std::unique_ptr<Normalizer> make_bert(const JsonPart& part) {
  const bool lowercase = part.flag("lowercase", true);
  std::vector<std::unique_ptr<Normalizer>> parts;
  if (part.flag("clean_text", true)) parts.push_back(make<PerCharacter>(clean));
  if (part.flag("handle_chinese_chars", true)) parts.push_back(make<PerCharacter>(space_out));
  if (part.flag("strip_accents", lowercase)) {
    parts.push_back(make<Form>(NormalForm::kNfd));
    parts.push_back(make<PerCharacter>(drop_accent));
  }
  if (lowercase) parts.push_back(make<PerCharacter>(append_lower));
  return make<InTurn>(std::move(parts));
}

}  // namespace

std::string replace_all(const std::string& text, const Regex& pattern, const std::string& content) {
  std::string out;
  size_t copied = 0;
  for (size_t at = 0; at <= text.size();) {
    const std::optional<Regex::Match> match = pattern.find(text, at);
    if (!match) break;
    at = match->end;
    if (match->begin == match->end) {
      ++at;
      continue;
    }
    out.append(text, copied, match->begin - copied);
    out += content;
    copied = match->end;
  }
  if (copied == 0) return text;
  return out.append(text, copied);
}

std::unique_ptr<Normalizer> make_normalizer(const JsonPart& part) {
  if (part.json.is_null()) return nullptr;
  const std::string type = part.type();
  if (type == "Sequence") return make<InTurn>(part.each("normalizers", make_normalizer));
  if (type == "NFC") return make<Form>(NormalForm::kNfc);
  if (type == "NFD") return make<Form>(NormalForm::kNfd);
  if (type == "NFKC") return make<Form>(NormalForm::kNfkc);
  if (type == "NFKD") return make<Form>(NormalForm::kNfkd);
  if (type == "Lowercase") return make<PerCharacter>(append_lower);
  if (type == "StripAccents") return make<PerCharacter>(drop_mark);
  if (type == "Strip") return make<Strip>(part.flag("strip_left", true), part.flag("strip_right", true));
  if (type == "Prepend") return make<Prepend>(part.json.at("prepend").get<std::string>());
  if (type == "Replace") return make<Replace>(part.pattern("pattern"), part.json.at("content").get<std::string>());
  if (type == "Precompiled") return make_charsmap(part);
  if (type == "BertNormalizer") return make_bert(part);
  part.refuse("type is '" + type +
              "'; known are Sequence, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, "
              "Precompiled, BertNormalizer");
}

}  // namespace cllm
