#include "data/ingest/values/parse.h"

#include <gmock/gmock.h>

namespace cllm {
namespace {

using namespace std::string_literals;

TEST(Parse, accepts_every_shape_of_utf8) {
  for (const std::string& text : {""s, "plain ascii, longer than a word"s, "caf\xC3\xA9"s, "\xE2\x82\xAC 5"s,
                                  "\xF0\x9F\x98\x80"s, "\xED\x9F\xBF"s, "\xF4\x8F\xBF\xBF"s, "12345678\xC3\xA9"s}) {
    EXPECT_TRUE(is_utf8(text)) << cllm::quoted(text);
  }
}

TEST(Parse, refuses_bytes_that_are_not_utf8) {
  for (const std::string& text : {"\xFF"s, "\xC3"s, "\xC0\x80"s, "\xE0\x80\x80"s, "\xED\xA0\x80"s, "\xF4\x90\x80\x80"s,
                                  "\xF5\x80\x80\x80"s, "abcdefgh\x80"s, "a\0b"s, "12345678\0"s, "\xE2\x82"s}) {
    EXPECT_FALSE(is_utf8(text)) << cllm::quoted(text);
  }
}

TEST(Parse, reads_finite_numbers_only) {
  EXPECT_EQ(parse_number("4.5"), 4.5);
  for (const char* text : {"", "4,5", "inf", "nan", "4.5 stars"}) EXPECT_EQ(parse_number(text), std::nullopt) << text;
}

TEST(Parse, quotes_and_shortens_what_it_shows) {
  EXPECT_EQ(cllm::quoted("ok"), "'ok'");
  EXPECT_EQ(cllm::quoted("a\tb\xFF"), "'a\\x09b\\xFF'");
  EXPECT_EQ(cllm::quoted(std::string(50, 'x')), "'" + std::string(40, 'x') + "...'");
  EXPECT_EQ(cllm::quoted("用户"), "'用户'");
  EXPECT_EQ(cllm::quoted("a\xC2\x9B\xE2\x80\xAE b"), "'a\\xC2\\x9B\\xE2\\x80\\xAE b'");  // moves what a terminal shows
}

TEST(Parse, names_an_encoding_for_bytes_that_are_not_utf8) {
  EXPECT_THAT(suggest_encoding("Caf\xE9 Bleu"), ::testing::HasSubstr("--encoding windows-1252"));
  EXPECT_THAT(suggest_encoding("\xC4\xE3\xBA\xC3 \xCA\xC0\xBD\xE7"), ::testing::HasSubstr("gb18030"));
  EXPECT_THAT(suggest_encoding("u\0s\0e\0r\0"s), ::testing::HasSubstr("--encoding utf-16"));
}

TEST(Parse, knows_what_stands_for_a_missing_number) {
  for (const char* text : {"", "NaN", "nan", "NaT", "null", "None", "N/A", "\\N"})
    EXPECT_TRUE(is_no_value(text)) << text;
  for (const char* text : {"0", "-", "none of these"}) EXPECT_FALSE(is_no_value(text)) << text;
}

}  // namespace
}  // namespace cllm
