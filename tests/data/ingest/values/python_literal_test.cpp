#include "data/ingest/values/python_literal.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace cllm {
namespace {

nlohmann::json read(const std::string& literal) {
  return nlohmann::json::parse(python_literal_to_json(literal), nullptr, false);
}

TEST(PythonLiteral, becomes_the_json_of_the_same_value) {
  EXPECT_EQ(read(R"({'asin': '1', 'title': "Bob's \"best\"", 'x': None, 'ok': True, 'no': False})"),
            nlohmann::json::parse(R"({"asin": "1", "title": "Bob's \"best\"", "x": null, "ok": true, "no": false})"));
  EXPECT_EQ(read(R"({'t': 'it\'s 5" \x41'})")["t"], "it's 5\" A");
  EXPECT_EQ(read("{'None': 'True', 'a': [1, (2, 3), (4,)], 'n': 5L}"),
            nlohmann::json::parse(R"({"None": "True", "a": [1, [2, 3], [4]], "n": 5})"));
}

TEST(PythonLiteral, of_python_2_has_prefixes_and_long_escapes) {
  EXPECT_EQ(
      read(R"({u'user': u'gamer\U0001F600', u't': u'caf\xe9 \u4e2d', 'r': r'a\d', u'e': u'tab\tend\\'})"),
      nlohmann::json(
          {{"user", "gamer\xF0\x9F\x98\x80"}, {"t", "caf\xC3\xA9 \xE4\xB8\xAD"}, {"r", "a\\d"}, {"e", "tab\tend\\"}}));
  EXPECT_EQ(read(R"({'bytes': 'caf\xc3\xa9', 'latin': 'caf\xe9 \xa0'})"),
            nlohmann::json({{"bytes", "caf\xC3\xA9"}, {"latin", "caf\xC3\xA9 \xC2\xA0"}}));
  EXPECT_EQ(read(R"({'pair': u'\ud83d\ude00', 'half': u'\ud83d!'})"),
            nlohmann::json({{"pair", "\xF0\x9F\x98\x80"}, {"half", "\xEF\xBF\xBD!"}}));
}

TEST(PythonLiteral, takes_json_with_the_numbers_that_json_does_not_have) {
  EXPECT_EQ(read(R"({"rating": NaN, "a": [Infinity, -Infinity, -1.5], "text": "NaN and -Infinity stay"})"),
            nlohmann::json::parse(R"({"rating": null, "a": [null, null, -1.5], "text": "NaN and -Infinity stay"})"));
}

TEST(PythonLiteral, that_is_none_comes_out_as_no_json) {
  for (const char* text : {"{'a': ", "{'a': 'open}", "soon", "{'a': 'x' 'y'}", "{a: 1}"})
    EXPECT_TRUE(read(text).is_discarded()) << text;
}

}  // namespace
}  // namespace cllm
