#include <gmock/gmock.h>

#include "data/errors.h"
#include "data/text/characters/regex.h"
#include "data/text/characters/unicode.h"

namespace cllm {
namespace {

std::string first_match(const std::string& pattern, const std::string& text) {
  const std::optional<Regex::Match> match = Regex(pattern, "file").find(text, 0);
  return match ? text.substr(match->begin, match->end - match->begin) : "none";
}

TEST(Regex, BlanksAndWordsAreThoseOfUnicode) {
  EXPECT_EQ(first_match("\\s+", "a\u2003\u00A0 b"), "\u2003\u00A0 ");
  EXPECT_EQ(first_match("\\s", "\u180E"), "none");
  EXPECT_EQ(first_match("[^\\s\\p{L}]+", "ab12\u3000"), "12");
  EXPECT_EQ(first_match("\\w+", "-e\u0301_1-"), "e\u0301_1");
  EXPECT_EQ(first_match("(?i:'ll)", "I'LL"), "'LL");
}

TEST(Regex, BytesThatAreNoUtf8AreInNoMatch) {
  EXPECT_EQ(first_match("[^x]+",
                        "\xFF\xFE"
                        "ab\xC3"),
            "ab");
}

TEST(Regex, WhatPcreWouldReadOtherwiseIsRefused) {
  for (const char* pattern : {"\\h", "[\\S]", "[a&&b]", "[a[b]]", "a{1,2}+", "(a", "a\\", "\\p{L"})
    EXPECT_THROW(Regex(pattern, "file"), DataError) << pattern;
}

TEST(Unicode, NormalFormsLeaveWhatIsNoUtf8) {
  EXPECT_EQ(normal_form("e\u0301\xFF"
                        "A\u030A",
                        NormalForm::kNfc),
            "\u00E9\xFF\u00C5");
  EXPECT_EQ(normal_form("\uFB01 \u2460", NormalForm::kNfkc), "fi 1");
  EXPECT_EQ(normal_form("\u00E9", NormalForm::kNfd), "e\u0301");
}

TEST(Unicode, GraphemesHoldTheirMarks) {
  const std::string family = "\U0001F469\u200D\U0001F4BBx";
  EXPECT_EQ(grapheme_end(family, 0), family.size() - 1);
  EXPECT_EQ(grapheme_end("e\u0301a", 0), 3u);
  EXPECT_EQ(grapheme_end("\xFF\u0301", 0), 1u);
}

TEST(Unicode, TheLastCharacterIsFound) {
  EXPECT_EQ(last_code_point("a\u9752").value, 0x9752);
  EXPECT_EQ(last_code_point("a").value, 'a');
  EXPECT_EQ(last_code_point("a\x80").value, -1);
}

}  // namespace
}  // namespace cllm
