#include "data/ingest/reading/header.h"

#include <gmock/gmock.h>

#include "data/ingest/source.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::HasSubstr;

/// "user=1 item=0 time=3": where the columns of a table of interactions are.
std::string placed(const Sample& sample, const ColumnChoices& choices = {}) {
  const TableSpec table = interaction_table();
  const Placement placement = place_columns(sample, table, choices, "x.csv");
  std::string out = placement.has_header ? "header" : "";
  for (size_t n = 0; n < table.columns.size(); ++n) {
    if (placement.places[n]) out += " " + table.columns[n].what + "=" + std::to_string(*placement.places[n]);
  }
  return out;
}

std::string refusal(const Sample& sample, const ColumnChoices& choices = {}) {
  return error_of([&] { placed(sample, choices); });
}

TEST(Header, has_the_names_that_public_files_have_in_any_case_and_with_any_separators) {
  for (const Sample& header :
       std::vector<Sample>{{{"user", "item", "rating", "timestamp"}},
                           {{"userId", "movieId", "rating", "timestamp"}},
                           {{"User", "Item", "Rating", "Time"}},
                           {{"user_id", "parent_asin", "rating", "timestamp"}},
                           {{"reviewerID", "asin", "overall", "unixReviewTime"}},
                           {{"USER-ID", "ISBN", "Book-Rating", "date"}},
                           {{"uid", "iid", "score", "ts"}},
                           {{"user id", "Business.ID", "stars", "Date"}},
                           {{"user_id:token", "item_id:token", "rating:float", "timestamp:float"}},
                           {{"\"user\"", "\"item\"", "\"rating\"", "\"time\""}}}) {
    EXPECT_EQ(placed(header), "header user=0 item=1 time=3 rating=2") << header[0][0];
  }
  EXPECT_EQ(placed({{"play", "video_id", "note", "user_id"}, {"7", "v", "x", "u"}}), "header user=3 item=1");
}

TEST(Header, of_several_times_is_read_for_the_number_before_the_date) {
  EXPECT_EQ(placed({{"user_id", "video_id", "time", "date", "timestamp", "watch_ratio"},
                    {"0", "3649", "2020-07-05 00:08:23.438", "20200705", "1593878903.438", "1.27"}}),
            "header user=0 item=1 time=4 rating=5");
}

TEST(Header, without_a_needed_column_is_refused_with_what_is_missing_and_what_is_there) {
  const std::string message = refusal({{"user_id", "sku_name", "rating"}, {"u", "a", "5"}});
  EXPECT_THAT(message, HasSubstr("x.csv:1: header without a column 'item' (it has user_id, sku_name, rating)"));
  EXPECT_THAT(message, HasSubstr("--columns item=NAME"));
  EXPECT_THAT(refusal({{"who", "what", "when"}, {"u", "a", "1531001351"}}),
              HasSubstr("header without a column 'user' and 'item' (it has who, what, when)"));
  EXPECT_THAT(refusal({{"who", "what", "stars"}, {"u", "a", "x"}}), HasSubstr("header without a column 'user'"));
}

TEST(Header, may_have_other_names_if_the_person_says_which) {
  const Sample sample = {{"who", "sku_name", "when"}, {"u", "a", "1531001351"}};
  EXPECT_EQ(placed(sample, {{"user", "who"}, {"item", "SKU name"}, {"time", "when"}}), "header user=0 item=1 time=2");
  EXPECT_EQ(placed(sample, {{"user", "1"}, {"item", "2"}}), "header user=0 item=1");
  EXPECT_THAT(refusal(sample, {{"user", "who"}, {"item", "sku"}}), HasSubstr("without a column 'sku'"));
}

TEST(Headerless, columns_are_told_by_their_values) {
  EXPECT_EQ(placed({{"u", "a"}, {"u", "b"}}), " user=0 item=1");
  EXPECT_EQ(placed({{"1", "5", "0.5", "964980001"}, {"1", "6", "1.0", "964980002"}}), " user=0 item=1 time=3 rating=2");
  EXPECT_EQ(placed({{"1", "5", "964980001", "3"}, {"1", "6", "964980002", "4"}}), " user=0 item=1 time=2 rating=3");
  EXPECT_EQ(placed({{"1", "5", "4"}, {"1", "6", "4"}, {"1", "7", "5"}}), " user=0 item=1 rating=2");
  EXPECT_EQ(placed({{"1", "5", "1531001351438"}, {"1", "6", "1531001351439"}}), " user=0 item=1 time=2");
  EXPECT_EQ(placed({{"1", "5", "2018-07-07T22:09:11Z"}, {"1", "6", "2018-07-07"}}), " user=0 item=1 time=2");
  EXPECT_EQ(placed({{"1", "5", "10"}, {"1", "6", "11"}, {"2", "6", "30"}}), " user=0 item=1 time=2");
  EXPECT_EQ(placed({{"1", "5", "1"}, {"1", "6", "2"}, {"1", "7", "3"}, {"2", "7", "1"}}), " user=0 item=1 time=2");
  EXPECT_EQ(placed({{"1", "5", "1", "2"}, {"1", "6", "2", "5"}, {"1", "7", "3", "4"}}),
            " user=0 item=1 time=2 rating=3");
  EXPECT_EQ(placed({{"1", "5", "0"}, {"1", "6", "0"}}), " user=0 item=1") << "one value says nothing";
  EXPECT_EQ(placed({{"B00A1B2C3D", "A1YJEY40YUW4SE", "5.0", "1363392000"},
                    {"0123456789", "A60XNB876KYML", "4.0", "1363392001"}}),
            " user=1 item=0 time=3 rating=2")
      << "Amazon 2018 has the item first";
}

TEST(Headerless, a_first_row_of_words_that_stand_nowhere_else_is_asked_about_unless_it_has_numbers) {
  const std::string message = refusal({{"prod_id", "cust_id"}, {"P0", "C0"}, {"P1", "C0"}});
  EXPECT_THAT(message, HasSubstr("--columns user=prod_id,item=cust_id, or"));
  EXPECT_THAT(message, HasSubstr("--columns user=1,item=2"));
  EXPECT_EQ(placed({{"ann", "red"}, {"ben", "blue"}, {"ann", "green"}}), " user=0 item=1");
  EXPECT_EQ(placed({{"ann", "red", "1531001351"}, {"ben", "blue", "1531001352"}, {"eve", "green", "1531001353"}}),
            " user=0 item=1 time=2");
}

TEST(Headerless, columns_that_may_be_two_things_are_refused_with_the_option_that_settles_it) {
  for (const Sample& sample : std::vector<Sample>{{{"u", "a", "1"}, {"u", "b", "2"}},
                                                  {{"u", "a", "1", "5"}, {"u", "b", "2", "4"}},
                                                  {{"u", "a", "3.5", "4.5"}, {"u", "b", "2.5", "1.5"}},
                                                  {{"u", "a", "music"}, {"u", "b", "film"}},
                                                  {{"u", "a", "1997"}, {"u", "b", "1994"}, {"u", "c", "1996.5"}},
                                                  {{"u", "a", "964980001", "964980002"}}}) {
    const std::string message = refusal(sample);
    EXPECT_THAT(message, HasSubstr("x.csv has no header: is column")) << sample[0][2];
    EXPECT_THAT(message, HasSubstr("--columns user=1,item=2")) << sample[0][2];
  }
  EXPECT_THAT(refusal({{"u", "2014-04-07T10:51:09.277Z", "214536502", "0"}}),
              HasSubstr("x.csv has no header: is column 2 ('2014-04-07T10:51:09.277Z') the time?"));
  EXPECT_THAT(refusal({{"u", "2014-04-07T10:51:09.277Z", "214536502", "0"}}),
              HasSubstr("--columns user=1,item=N,time=2 (N: the item's, one of 3, 4)"));
  EXPECT_THAT(refusal({{"2014-04-07", "u", "a"}}), HasSubstr("--columns user=2,item=3,time=1"));
  EXPECT_EQ(placed({{"u", "a", "1"}, {"u", "b", "2"}}, {{"time", "3"}}), " user=0 item=1 time=2");
  EXPECT_EQ(placed({{"1531001351", "u", "a"}}, {{"time", "1"}, {"user", "2"}, {"item", "3"}}), " user=1 item=2 time=0");
  EXPECT_THAT(refusal({{"u", "a"}}, {{"time", "3"}}), HasSubstr("no header that names '3'"));
  EXPECT_THAT(refusal({{"u", "a", "1", "2", "3"}}), HasSubstr("x.csv:1: 5 columns and no header"));
}

TEST(ColumnChoices, are_pairs_of_known_columns) {
  EXPECT_EQ(parse_column_choices("user=visitor,item=3"), (ColumnChoices{{"user", "visitor"}, {"item", "3"}}));
  for (const char* text : {"user", "user=", "visitor=user", "=x"})
    EXPECT_THAT(error_of([&] { parse_column_choices(text); }), HasSubstr("--columns: ")) << text;
}

TEST(Texts, are_told_from_numbers_dates_addresses_and_codes) {
  EXPECT_TRUE(holds_texts("note", {"a red hat", "blue", ""}));
  EXPECT_TRUE(holds_texts("note", {"\xE5\x96\x9C\xE6\xAC\xA2"}));
  EXPECT_FALSE(holds_texts("note", {"12.5", "13"}));
  EXPECT_FALSE(holds_texts("note", {"2018-07-07", "July 7, 2018"}));
  EXPECT_FALSE(holds_texts("note", {"https://example.org/a.jpg"}));
  EXPECT_FALSE(holds_texts("note", {"M", "F", "M"}));
  EXPECT_FALSE(holds_texts("note", {"true", "False"}));
  EXPECT_FALSE(holds_texts("note", {}));
  for (const char* name : {"session_id", "categoryId", "split", "id:token"})
    EXPECT_FALSE(holds_texts(name, {"abc", "def"})) << name;
  for (const char* name : {"paid", "valid", "identity"}) EXPECT_TRUE(holds_texts(name, {"abc", "def"})) << name;
}

}  // namespace
}  // namespace cllm::testing
