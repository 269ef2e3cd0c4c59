#include "data/text/characters/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <new>

#include "data/errors.h"

namespace cllm {
namespace {

// White space is spelled out (Unicode White_Space), because PCRE2's \s also has U+180E, which left that property in
// Unicode 6.3.
constexpr char kSpace[] =
    "\\x09-\\x0D\\x20\\x85\\xA0\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}";

// Likewise \w, which is letters, digits and _ to PCRE2, and also marks and connectors to the others.
constexpr char kWord[] = "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}\\x{24B6}-\\x{24E9}";

/// Oniguruma's pattern in PCRE2's words; what the two read differently is refused.
class Translation {
 public:
  Translation(std::string_view pattern, const std::string& where) : pattern_(pattern), where_(where) {}

  std::string run() && {
    for (size_t at = 0; at < pattern_.size();) at = pattern_[at] == '\\' ? escape(at) : plain(at);
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw DataError(where_ + ": pattern '" + std::string(pattern_) + "' has " + what + ", which is not supported");
  }

  size_t escape(size_t at) {
    if (at + 1 == pattern_.size()) refuse("a backslash at its end");
    const char letter = pattern_[at + 1];
    if (letter == 'h' || letter == 'H' || (in_class_ && (letter == 'S' || letter == 'W')))
      refuse(std::string("\\") + letter + (in_class_ ? " in a class" : ""));
    if (letter == 's' || letter == 'w') {
      const std::string characters = letter == 's' ? kSpace : kWord;
      out_ += in_class_ ? characters : "[" + characters + "]";
    } else if (letter == 'S' || letter == 'W') {
      out_ += std::string("[^") + (letter == 'S' ? kSpace : kWord) + "]";
    } else if (at + 2 < pattern_.size() && pattern_[at + 2] == '{' &&
               (letter == 'p' || letter == 'P' || letter == 'x')) {
      const size_t end = pattern_.find('}', at);
      if (end == std::string_view::npos) refuse("an open brace");
      out_.append(pattern_.substr(at, end + 1 - at));
      return end + 1;
    } else {
      out_.append(pattern_.substr(at, 2));
    }
    return at + 2;
  }

  size_t plain(size_t at) {
    const char c = pattern_[at];
    if (in_class_ && c == '[') refuse("a class in a class");
    if (in_class_ && pattern_.substr(at).starts_with("&&")) refuse("an intersection of classes");
    if (!in_class_ && pattern_.substr(at).starts_with("}+")) refuse("}+ behind a count");
    if (c == '[') {
      in_class_ = true;
    } else if (c == ']') {
      in_class_ = false;
    }
    out_ += c;
    return at + 1;
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  bool in_class_ = false;
};

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};

/// What a thread needs to match, whatever the pattern.
struct Scratch {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(size_t{32} << 10, size_t{4} << 20, nullptr);

  Scratch() {
    if (!match || !context || !stack) throw std::bad_alloc();
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, FreeCode> pcre;
};

Regex::Regex(const std::string& pattern, std::string where, bool anchored) : where_(std::move(where)) {
  const std::string translated = Translation(pattern, where_).run();
  int error = 0;
  PCRE2_SIZE offset = 0;
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  if (anchored) options |= PCRE2_ANCHORED;
  auto code = std::make_shared<Code>();
  code->pcre.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), options, &error,
                                 &offset, nullptr));
  if (!code->pcre) {
    PCRE2_UCHAR message[120] = {};
    pcre2_get_error_message(error, message, sizeof message);
    throw DataError(where_ + ": pattern '" + pattern + "': " + reinterpret_cast<const char*>(message));
  }
  pcre2_jit_compile(code->pcre.get(), PCRE2_JIT_COMPLETE);  // without JIT pcre2_match interprets: slower, same result
  code_ = std::move(code);
}

std::optional<Regex::Match> Regex::find(std::string_view text, size_t start) const {
  thread_local const Scratch scratch;
  const int found = pcre2_match(code_->pcre.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start, 0,
                                scratch.match, scratch.context);
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) throw DataError(where_ + ": a pattern gives up on a text: PCRE2 error " + std::to_string(found));
  const PCRE2_SIZE* place = pcre2_get_ovector_pointer(scratch.match);
  return Match{place[0], place[1]};
}

}  // namespace cllm
