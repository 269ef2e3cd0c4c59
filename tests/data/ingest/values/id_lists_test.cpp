#include "data/ingest/values/id_lists.h"

#include <gtest/gtest.h>

namespace cllm::testing {
namespace {

using Cells = std::vector<std::string>;

std::string between(const Cells& cells, const Cells& others) {
  const auto lists = lists_of_ids(cells, others);
  return lists ? lists->between : "";
}

TEST(IdLists, are_told_by_ids_of_one_form_and_what_is_between_them) {
  const Cells users = {"u", "v", "w"};
  EXPECT_EQ(between({"105 119 103", "101  115", "7"}, users), " ");
  EXPECT_EQ(between({"v105|v119", "v1|v2|v3", "v4|v5"}, users), "|");
  EXPECT_EQ(between({"105,119", "101,115", "101,119"}, users), ",");
  EXPECT_EQ(between({"[105 119 103]", "[101 115]", "[103 105]"}, users), " ");
  EXPECT_EQ(between({"['i105' 'i119']", "['i101' 'i115']", ""}, users), " ");
  EXPECT_EQ(between({"{105,119}", "{101,115,9}", "{103,105}"}, users), ",");
  EXPECT_EQ(between({"B00004YRSC;B0000DJE2A", "B00004YRSC;B00002STVQ", "B0000DJE2A"}, users), ";");
  EXPECT_EQ(between({"105:4 119:3", "101:5 115:1", "103:2 105:1"}, users), " ");
  EXPECT_EQ(between({"105-119-103", "101-105", "103-105"}, users), "-");
  EXPECT_EQ(between({"a b c", "b c", "a c"}, users), " ");
  EXPECT_EQ(between({"105 119 103", "101 115", "119 103"}, {"u", "u", "v"}), " ") << "baskets";
}

TEST(IdLists, are_no_names_and_no_ids_of_parts) {
  const Cells users = {"u", "v", "w"}, again = {"u", "u", "v"};
  EXPECT_EQ(between({"Movie 105", "Movie 119", "Movie 103"}, users), "");
  EXPECT_EQ(between({"The Matrix", "The Matrix 2", "Toy Story"}, users), "");
  EXPECT_EQ(between({"Smith, J.", "Miller, K.", "Li, W."}, users), "");
  EXPECT_EQ(between({"12|105", "12|119", "13|103"}, again), "");
  EXPECT_EQ(between({"1,234", "12,345", "1,234,567"}, again), "");
  EXPECT_EQ(between({"40.7,73.9", "41.8,87.6", "34.0,18.2"}, again), "");
  EXPECT_EQ(between({"2014-04-06", "2014-04-07", "2014-05-06"}, users), "");
  EXPECT_EQ(between({"105", "119 103", "101"}, users), "");
}

}  // namespace
}  // namespace cllm::testing
