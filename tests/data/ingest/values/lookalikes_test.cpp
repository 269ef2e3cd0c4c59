#include "data/ingest/values/lookalikes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace cllm {
namespace {

using ::testing::HasSubstr;

TEST(Lookalikes, BareIdsAreWithoutWhatProgramsPutAround) {
  for (const char* form : {"10", "10.0", "10.", "010", " 10 ", "\"10\"", "=\"10\"", "0010.00"})
    EXPECT_EQ(bare_id(form), "10") << form;
  EXPECT_EQ(bare_id("B00ABC"), "b00abc");
  for (const char* id : {"10.5", "1.0.0", ".0", "0.0.1", "tt0010.0"}) EXPECT_EQ(bare_id(id), id);
  EXPECT_EQ(bare_id("000"), "0");
  EXPECT_EQ(bare_id(""), "");
}

std::string described(const std::vector<std::string>& unknown, const std::vector<std::string>& known) {
  Lookalikes lookalikes;
  for (const std::string& id : unknown) lookalikes.add(id);
  return lookalikes.describe("items", known.size(), [&](size_t n) { return std::string_view(known[n]); });
}

TEST(Lookalikes, AreFoundInBothDirectionsAndCounted) {
  EXPECT_THAT(described({"10.0", "11.0", "x"}, {"9", "10", "11"}),
              HasSubstr("2 of 3 items looked at differ from known ones in their form alone, as '10.0' and '10'"));
  EXPECT_THAT(described({"10"}, {"0010"}), HasSubstr("as '10' and '0010'"));
  EXPECT_EQ(described({"12"}, {"10", "11"}), "");
  EXPECT_EQ(described({}, {"10"}), "");
}

TEST(Lookalikes, RoundedIdsAreNumbersWithAnExponentAsSpreadsheetsWriteThem) {
  for (const std::string id : {"1.23E+17", "1E+05", "1,23E+17", "1e+17", " 9.00719925474099E+15 "})
    EXPECT_TRUE(is_rounded(id)) << id;
  for (const std::string id : {"", "E+17", "1E17", "1.2.3E+17", "12e4f", "B00E+1", "1E+", "1E+1x", "17", "1.23E-17"})
    EXPECT_FALSE(is_rounded(id)) << id;
  EXPECT_EQ(mostly_rounded({"1E+17", "7", "1E+18"}), "1E+17");
  EXPECT_EQ(mostly_rounded({"7", "1E+18"}), std::nullopt);
  EXPECT_EQ(mostly_rounded({}), std::nullopt);
}

}  // namespace
}  // namespace cllm
