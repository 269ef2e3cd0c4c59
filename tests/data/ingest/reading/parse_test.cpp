#include "data/ingest/reading/parse.h"

#include <gtest/gtest.h>

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

TEST(Parse, reads_times_as_numbers_and_dates) {
  EXPECT_EQ(parse_time(""), 0);
  EXPECT_EQ(parse_time("-5"), -5);
  EXPECT_EQ(parse_time("980730408"), 980730408);
  EXPECT_EQ(parse_time("1.5e3"), 1500);
  EXPECT_EQ(parse_time("1970-01-02"), 86400);
  EXPECT_EQ(parse_time("2018-07-07 22:09:11"), 1531001351);
  EXPECT_EQ(parse_time("2018-07-07T22:09:11"), 1531001351);
  for (const char* text :
       {"soon", "12 ", "2018-02-30", "2018-13-01", "2018/07/07", "2018-07-07 25:00:00", "1e300", "nan"}) {
    EXPECT_EQ(parse_time(text), std::nullopt) << text;
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
}

TEST(Parse, turns_python_literals_into_json) {
  EXPECT_EQ(python_literal_to_json(R"({'asin': '1', 'title': "Bob's \"best\"", 'x': None, 'ok': True, 'no': False})"),
            R"({"asin": "1", "title": "Bob's \"best\"", "x": null, "ok": true, "no": false})");
  EXPECT_EQ(python_literal_to_json(R"({'t': 'it\'s 5" \x41'})"), R"({"t": "it's 5\" \u0041"})");
}

}  // namespace
}  // namespace cllm
