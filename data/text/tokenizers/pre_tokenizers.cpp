#include <algorithm>

#include "data/text/characters/unicode.h"
#include "data/text/characters/word_split.h"
#include "data/text/tokenizers/json_reading.h"

namespace cllm {
namespace {

/// The place of a piece that starts at `start` of something at `place`.
TextPlace place_of(size_t start, TextPlace place) { return start == 0 ? place : TextPlace{}; }

enum class Behaviour { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// A stretch of a text: a match, or what lies between matches.
struct Span {
  size_t begin, end;
  bool match;
};

/// The pieces that a behaviour makes of the stretches. In place.
void join(std::vector<Span>& spans, Behaviour behaviour) {
  std::vector<Span> out;
  bool previous_match = false;
  for (const Span& span : spans) {
    bool append = false;
    switch (behaviour) {
      case Behaviour::kRemoved:
      case Behaviour::kIsolated: break;
      case Behaviour::kContiguous: append = span.match == previous_match; break;
      case Behaviour::kMergedWithPrevious: append = span.match && !previous_match; break;
      case Behaviour::kMergedWithNext: append = !span.match && previous_match; break;
    }
    previous_match = span.match;
    if (append && !out.empty()) {
      out.back().end = span.end;
    } else if (!(span.match && behaviour == Behaviour::kRemoved)) {
      out.push_back(span);
    }
  }
  // Of several matches in a row only the last goes to the next piece, and only the first to the previous one.
  spans = std::move(out);
}

/// Cuts by stretches that a rule finds.
class Cutter : public PreTokenizer {
 public:
  explicit Cutter(Behaviour behaviour) : behaviour_(behaviour) {}

  void split(std::string_view text, TextPlace place, const PieceSink& use) const override {
    std::vector<Span> spans;
    find(text, spans);
    join(spans, behaviour_);
    for (const Span& span : spans)
      if (span.end > span.begin) use(text.substr(span.begin, span.end - span.begin), place_of(span.begin, place));
  }

 private:
  virtual void find(std::string_view text, std::vector<Span>& spans) const = 0;
  Behaviour behaviour_;
};

class PatternCutter : public Cutter {
 public:
  PatternCutter(Regex pattern, Behaviour behaviour, bool invert)
      : Cutter(behaviour), pattern_(std::move(pattern)), invert_(invert) {}

 private:
  void find(std::string_view text, std::vector<Span>& spans) const override {
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      const std::optional<Regex::Match> match = pattern_.find(text, at);
      if (!match) break;
      at = match->end;
      if (match->end == match->begin) {
        ++at;
        continue;
      }
      if (match->begin > begin) spans.push_back({begin, match->begin, invert_});
      spans.push_back({match->begin, match->end, !invert_});
      begin = match->end;
    }
    if (begin < text.size()) spans.push_back({begin, text.size(), invert_});
  }

  Regex pattern_;
  bool invert_;
};

/// Each character of a kind is a match.
class CharacterCutter : public Cutter {
 public:
  using Kind = bool (*)(int32_t code);
  CharacterCutter(Kind kind, Behaviour behaviour) : Cutter(behaviour), kind_(kind) {}

 private:
  void find(std::string_view text, std::vector<Span>& spans) const override {
    size_t at = 0;
    for_each_code_point(text, [&](int32_t code, std::string_view bytes) {
      const bool match = kind_(code);
      if (!match && !spans.empty() && !spans.back().match) {
        spans.back().end += bytes.size();
      } else {
        spans.push_back({at, at + bytes.size(), match});
      }
      at += bytes.size();
    });
  }

  Kind kind_;
};

class Gpt2Words : public PreTokenizer {
 public:
  void split(std::string_view text, TextPlace place, const PieceSink& use) const override {
    for (size_t start = 0; start < text.size();) {
      const size_t end = word_end(text, start);
      use(text.substr(start, end - start), place_of(start, place));
      start = end;
    }
  }
};

class PrefixSpace : public PreTokenizer {
 public:
  void split(std::string_view text, TextPlace place, const PieceSink& use) const override {
    if (text.starts_with(' ') || place.no_prefix) return use(text, place);
    use(" " + std::string(text), place);
  }
};

/// Blanks become the mark; the mark is put before the text; a piece begins at each mark.
class Metaspace : public PreTokenizer {
 public:
  enum class Prefix { kAlways, kFirst, kNever };
  Metaspace(std::string mark, Prefix prefix, bool split) : mark_(std::move(mark)), prefix_(prefix), split_(split) {}

  void split(std::string_view text, TextPlace place, const PieceSink& use) const override {
    std::string marked;
    marked.reserve(text.size() + text.size() / 2);
    for (const char c : text) {
      if (c == ' ') {
        marked += mark_;
      } else {
        marked += c;
      }
    }
    const bool wanted = prefix_ == Prefix::kAlways || (prefix_ == Prefix::kFirst && place.starts_text);
    if (wanted && !place.no_prefix && !marked.starts_with(mark_)) marked.insert(0, mark_);
    if (!split_) return use(marked, place);
    size_t begin = 0;
    for (size_t at = marked.find(mark_, mark_.size()); at != std::string::npos;
         at = marked.find(mark_, at + mark_.size())) {
      if (at > begin) use(std::string_view(marked).substr(begin, at - begin), place_of(begin, place));
      begin = at;
    }
    use(std::string_view(marked).substr(begin), place_of(begin, place));
  }

 private:
  std::string mark_;
  Prefix prefix_;
  bool split_;
};

class InTurn : public PreTokenizer {
 public:
  explicit InTurn(std::vector<std::unique_ptr<PreTokenizer>> parts) : parts_(std::move(parts)) {
    std::erase(parts_, nullptr);
  }
  void split(std::string_view text, TextPlace place, const PieceSink& use) const override { from(0, text, place, use); }

 private:
  void from(size_t part, std::string_view text, TextPlace place, const PieceSink& use) const {
    if (part == parts_.size()) return use(text, place);
    parts_[part]->split(text, place,
                        [&, part](std::string_view piece, TextPlace at) { from(part + 1, piece, at, use); });
  }

  std::vector<std::unique_ptr<PreTokenizer>> parts_;
};

using Made = std::unique_ptr<PreTokenizer>;

template <typename... Parts>
Made in_turn(Parts... parts) {
  std::vector<Made> list;
  (list.push_back(std::move(parts)), ...);
  return std::make_unique<InTurn>(std::move(list));
}

Behaviour behaviour_of(const JsonPart& part) {
  const std::string name = part.json.at("behavior").get<std::string>();
  if (name == "Removed") return Behaviour::kRemoved;
  if (name == "Isolated") return Behaviour::kIsolated;
  if (name == "MergedWithPrevious") return Behaviour::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behaviour::kMergedWithNext;
  if (name == "Contiguous") return Behaviour::kContiguous;
  part.refuse("behavior is '" + name +
              "'; known are Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

Made make_metaspace(const JsonPart& part) {
  // Older files: add_prefix_space in the place of a scheme.
  const std::string scheme = part.text("prepend_scheme", part.flag("add_prefix_space", true) ? "always" : "never");
  part.require(scheme == "always" || scheme == "first" || scheme == "never",
               "prepend_scheme is '" + scheme + "'; known are always, first, never");
  const Metaspace::Prefix prefix = scheme == "always"  ? Metaspace::Prefix::kAlways
                                   : scheme == "first" ? Metaspace::Prefix::kFirst
                                                       : Metaspace::Prefix::kNever;
  return std::make_unique<Metaspace>(part.character("replacement", "\u2581"), prefix, part.flag("split", true));
}

/// The words only: that they are bytes then is the model's business.
Made make_byte_level(const JsonPart& part) {
  std::vector<Made> list;
  if (part.flag("add_prefix_space", true)) list.push_back(std::make_unique<PrefixSpace>());
  if (part.flag("use_regex", true)) list.push_back(gpt2_words());
  if (list.size() == 1) return std::move(list.front());
  return std::make_unique<InTurn>(std::move(list));
}

}  // namespace

std::unique_ptr<PreTokenizer> gpt2_words() { return std::make_unique<Gpt2Words>(); }

bool is_byte_level(const nlohmann::json& pre_tokenizer) {
  if (!pre_tokenizer.is_object()) return false;
  if (pre_tokenizer.at("type") == "ByteLevel") return true;
  if (pre_tokenizer.at("type") != "Sequence" || pre_tokenizer.at("pretokenizers").empty()) return false;
  return is_byte_level(pre_tokenizer.at("pretokenizers").back());
}

std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonPart& part) {
  if (part.json.is_null()) return nullptr;
  const std::string type = part.type();
  const auto characters = [](bool (*kind)(int32_t), Behaviour behaviour) -> Made {
    return std::make_unique<CharacterCutter>(kind, behaviour);
  };
  if (type == "Sequence") {
    const nlohmann::json& all = part.json.at("pretokenizers");
    for (size_t n = 0; n + 1 < all.size(); ++n)
      part.require(!is_byte_level(all[n]), "ByteLevel is not the last of a Sequence, which is not supported");
    return std::make_unique<InTurn>(part.each("pretokenizers", make_pre_tokenizer));
  }
  if (type == "ByteLevel") return make_byte_level(part);
  if (type == "Metaspace") return make_metaspace(part);
  if (type == "WhitespaceSplit") return characters(is_space, Behaviour::kRemoved);
  if (type == "Punctuation") {
    return characters(is_punctuation, part.json.contains("behavior") ? behaviour_of(part) : Behaviour::kIsolated);
  }
  if (type == "Digits")
    return characters(is_number, part.flag("individual_digits", false) ? Behaviour::kIsolated : Behaviour::kContiguous);
  if (type == "BertPreTokenizer")
    return in_turn(characters(is_space, Behaviour::kRemoved), characters(is_punctuation, Behaviour::kIsolated));
  if (type == "Whitespace")
    return std::make_unique<PatternCutter>(Regex("\\w+|[^\\w\\s]+", part.where), Behaviour::kRemoved, true);
  if (type == "Split")
    return std::make_unique<PatternCutter>(part.pattern("pattern"), behaviour_of(part), part.flag("invert", false));
  part.refuse("type is '" + type +
              "'; known are Sequence, ByteLevel, Metaspace, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, "
              "BertPreTokenizer");
}

}  // namespace cllm
