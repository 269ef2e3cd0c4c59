// Files of the kinds that users of such tools reported: what they expect comes out, or one line says what is wrong.

#include <gmock/gmock.h>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// Six users with five items each: user u bought item (u + k) % 7 at time 1300000000 + k, rated 5 - k.
std::string rows_of(const std::string& separator, bool with_rating = true) {
  std::string out;
  for (int user = 0; user < 6; ++user) {
    for (int k = 0; k < 5; ++k) {
      out += "u" + std::to_string(user) + separator + "i" + std::to_string((user + k) % 7);
      if (with_rating) out += separator + std::to_string(5 - k) + ".0";
      out += separator + std::to_string(1300000000 + k) + "\n";
    }
  }
  return out;
}

const std::string kItems = "i0\ta\ni1\tb\ni2\tc\ni3\td\ni4\te\ni5\tf\ni6\tg\n";

std::set<std::string> last_bought() {
  std::set<std::string> pairs;
  for (int user = 0; user < 6; ++user) pairs.insert("u" + std::to_string(user) + " i" + std::to_string((user + 4) % 7));
  return pairs;
}

Corpus leave_last_out(const Scratch& scratch, PrepareOptions options, PrepareReport* report = nullptr) {
  scratch.write("items.tsv", kItems);
  options.split = SplitMethod::kLeaveLastOut;
  const PrepareReport made = prepare(options);
  if (report != nullptr) *report = made;
  return Corpus::open(options.output, true);
}

TEST(UserFiles, without_a_header_have_their_times_where_the_values_say) {
  const Scratch scratch;
  scratch.write("interactions.csv", rows_of(","));
  PrepareReport report;
  const Corpus corpus = leave_last_out(scratch, scratch.options(), &report);
  EXPECT_EQ(pairs_of(corpus, Part::kTest), last_bought());
  EXPECT_THAT(report.notices, Contains("interactions.csv has no header: read as user, item, rating, time"));
  PrepareOptions options = scratch.options();
  options.overwrite = true;
  options.rating_threshold = 3.5;
  EXPECT_EQ(prepare(options).below_threshold, 18u);
}

TEST(UserFiles, of_amazon_2023_have_a_header_with_parent_asin) {
  const Scratch scratch;
  scratch.write("interactions.csv", "user_id,parent_asin,rating,timestamp\n" + rows_of(","));
  PrepareReport report;
  EXPECT_EQ(pairs_of(leave_last_out(scratch, scratch.options(), &report), Part::kTest), last_bought());
  EXPECT_THAT(report.bad_rows, IsEmpty());
}

TEST(UserFiles, with_dates_of_any_kind_keep_their_order) {
  for (const char* form : {"2009-05-04T23:08:5%Z", "2020-07-05 00:08:23.43%", "2020-07-05T00:08:23.1%+02:00",
                           "Wed, 01 Jul 2009 00:00:0% +0000", "159387890%.5", "1593878903.00000000%", "July %, 2011"}) {
    const Scratch scratch;
    std::string rows = "user\titem\ttime\n";
    for (const char k : {'4', '1', '3', '2', '5'}) {  // not in the order of the file
      std::string time = form;
      time.replace(time.find('%'), 1, 1, k);
      rows += std::string("u\ti") + k + "\t" + time + "\n";
    }
    scratch.write("interactions.tsv", rows);
    const Corpus corpus = leave_last_out(scratch, scratch.options());
    EXPECT_THAT(pairs_of(corpus, Part::kTest), ElementsAre("u i5")) << form;
    EXPECT_THAT(pairs_of(corpus, Part::kValidation), ElementsAre("u i4")) << form;
  }
}

TEST(UserFiles, with_some_times_missing_say_how_many_and_none_at_all_what_comes_last) {
  const Scratch scratch;
  scratch.write("interactions.csv", "user,item,time\nu,i1,\nu,i2,5\nu,i3,NaT\nu,i4,7\n");
  PrepareReport report;
  EXPECT_THAT(pairs_of(leave_last_out(scratch, scratch.options(), &report), Part::kTest), ElementsAre("u i4"));
  EXPECT_EQ(report.without_time, 2u);
  EXPECT_THAT(describe(report), HasSubstr("interactions without a time (first in their histories): 2"));
  scratch.write("interactions.csv", "user,item,time\nu,i1,\nu,i2,\nu,i3,\n");
  PrepareOptions options = scratch.options();
  options.overwrite = true;
  EXPECT_FALSE(leave_last_out(scratch, options, &report).has_times());
  EXPECT_THAT(report.notices, Contains(HasSubstr("no interaction has a time")));
}

TEST(UserFiles, with_a_time_of_no_known_form_are_refused_with_the_forms) {
  const Scratch scratch;
  scratch.write("interactions.csv", "user,item,time\nu,i1,yesterday\n");
  EXPECT_THAT(error_of([&] { prepare(scratch.options()); }),
              HasSubstr("time 'yesterday' is no number or date; read are 1531001351, 1531001351438, 2018-07-07, "));
}

/// Texts of all pairs, one for each, with `first` in the place of the first text.
std::string texts_with(const std::string& first) {
  std::string out = "user,item,text\n";
  for (int user = 0; user < 6; ++user) {
    for (int k = 0; k < 5; ++k)
      out += "u" + std::to_string(user) + ",i" + std::to_string((user + k) % 7) + "," +
             (user == 0 && k == 0 ? first
              : k >= 3            ? "SECRET"
                                  : "fine") +
             "\n";
  }
  return out;
}

/// Raw texts that entered the corpus.
std::string texts_in(const Corpus& corpus) {
  std::string out;
  for (int64_t n = 0; n < corpus.num_texts(); ++n) out += std::string(corpus.raw_text(n)) + "|";
  return out;
}

TEST(UserFiles, with_stray_quotes_lose_no_texts_and_leak_none_of_held_out_pairs) {
  for (const std::string first :
       {"a 10\" screen", "\"open", "\"open \"\"twice", "ends\"", "\"closed\" and more", "two \" quotes \""}) {
    const Scratch scratch;
    scratch.write("interactions.tsv", "user\titem\trating\ttime\n" + rows_of("\t"));
    scratch.write("texts.csv", texts_with(first));
    PrepareOptions options = scratch.options();
    options.error_limit = 0.1;
    PrepareReport report;
    const Corpus corpus = leave_last_out(scratch, options, &report);
    EXPECT_THAT(texts_in(corpus), ::testing::Not(HasSubstr("SECRET"))) << first;
    EXPECT_EQ(report.held_out_texts, 12u) << first;
    const bool bad = first.starts_with("\"open");
    EXPECT_EQ(corpus.num_texts(), 7 + 18 - (bad ? 1 : 0)) << first;
    EXPECT_EQ(report.bad_rows.size(), bad ? 1u : 0u) << first;
    if (bad) {
      EXPECT_THAT(report.bad_rows[0].examples, ElementsAre(HasSubstr("texts.csv:2: a quote is never closed")));
    }
  }
}

TEST(UserFiles, with_two_stray_quotes_that_close_each_other_swallow_no_rows_unseen) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "user\titem\trating\ttime\n" + rows_of("\t"));
  std::string texts = texts_with("\"open");
  const size_t secret = texts.find("SECRET");
  texts.insert(secret + 6, "\"");  // a quote at the end of a later line: one long field to every reader of CSV
  scratch.write("texts.csv", texts);
  PrepareOptions options = scratch.options();
  options.error_limit = 0.1;
  PrepareReport report;
  EXPECT_THAT(texts_in(leave_last_out(scratch, options, &report)), ::testing::Not(HasSubstr("SECRET")));
  ASSERT_EQ(report.bad_rows.size(), 1u);
  EXPECT_THAT(report.bad_rows[0].examples,
              ElementsAre(HasSubstr("texts.csv:2: the text holds whole rows of the table")));
}

TEST(UserFiles, whose_texts_name_only_the_user_by_a_known_name_do_not_pass_for_biographies) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "user\titem\trating\ttime\n" + rows_of("\t"));
  scratch.write("items.tsv", kItems);
  scratch.write("texts.csv", "user,product,text\nu0,i4,SECRET\n");
  PrepareOptions options = scratch.options();
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("texts.csv:1: header without a column 'item' (it has product)"));
  options.source.columns = {{"item", "product"}};
  EXPECT_THAT(texts_in(leave_last_out(scratch, options)), ::testing::Not(HasSubstr("SECRET")));
  options.overwrite = true;
  scratch.write("interactions.tsv", "user\tproduct\trating\ttime\n" + rows_of("\t"));
  EXPECT_THAT(texts_in(leave_last_out(scratch, options)), ::testing::Not(HasSubstr("SECRET")));
}

TEST(UserFiles, with_quotes_in_items_lose_none_of_them) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "user\titem\trating\ttime\n" + rows_of("\t"));
  std::string items = "item,text\n";
  for (int item = 0; item < 7; ++item)
    items += "i" + std::to_string(item) + ",a " + std::to_string(item) + "\" screen\n";
  scratch.write("items.csv", items);
  const PrepareReport report = prepare(scratch.options());
  EXPECT_EQ(report.vocabulary.num_items, 7);
  EXPECT_EQ(report.num_texts, 7);
}

TEST(UserFiles, with_other_columns_of_text_give_kinds_and_say_so) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "user\titem\nu\ta\nu\tb\n");
  scratch.write("items.csv",
                "item_id,title,price,description,image\na,Red hat,12.5,for "
                "heads,http://x/a.jpg\nb,Coat,30,warm,http://x/b.jpg\n");
  scratch.write("users.jsonl", "{\"id\": \"u\", \"job\": \"cook in Rome\", \"age\": 30}\n");
  PrepareOptions options = scratch.options();
  const PrepareReport report = prepare(options);
  EXPECT_THAT(
      texts_of(Corpus::open(options.output, true)),
      UnorderedElementsAre("title - a 7", "title - b 4", "description - a 9", "description - b 4", "job u - 12"));
  EXPECT_THAT(report.notices, Contains("items.csv: texts of the kinds title, description (named as their columns)"));
  EXPECT_THAT(report.notices, Contains("items.csv: not used: price, image"));
}

TEST(UserFiles, whose_texts_name_other_ids_say_how_few_joined_and_show_one) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "user\titem\nu\t1\nu\t2\nv\t3\n");
  scratch.write("texts.csv", "user,item,text\nu,1.0,fine\nu,2.0,good\nv,3,well\n");
  const PrepareReport report = prepare(scratch.options());
  EXPECT_THAT(report.notices,
              Contains(AllOf(HasSubstr("texts.csv: 1 of 3 texts joined the corpus; 2 are of users or items "
                                       "that no interaction has"),
                             HasSubstr("the first: texts.csv:2, item '1.0'"))));
}

TEST(UserFiles, with_texts_in_scripts_without_blanks_have_biographies) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "user\titem\nu\ta\nv\ta\n");
  scratch.write("users.tsv", "u\t\xE5\x96\x9C\xE6\xAC\xA2\xE7\x94\xB5\xE5\xBD\xB1\nv\t\n");
  const PrepareReport report = prepare(scratch.options());
  EXPECT_EQ(report.num_texts, 1);
  EXPECT_THAT(report.notices, IsEmpty());
}

TEST(UserFiles, in_another_encoding_are_named_and_read_with_the_option) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "user\titem\nu\ta\nu\tb\n");
  scratch.write("items.tsv", "item\ttext\na\tCaf\xE9 Bleu\nb\tna\xEFve\n");
  PrepareOptions options = scratch.options();
  EXPECT_THAT(
      error_of([&] { prepare(options); }),
      HasSubstr("(is it Latin-1? --encoding windows-1252 (or latin-1; windows-1250 in Central Europe) reads it)"));
  options.source.reading.encoding = "latin-1";
  prepare(options);
  EXPECT_THAT(texts_in(Corpus::open(options.output, true)), HasSubstr("Caf\xC3\xA9 Bleu"));
}

TEST(UserFiles, may_call_their_columns_anything_if_the_person_says_what_they_are) {
  const Scratch scratch;
  scratch.write("interactions.csv", "visitor,sku,when\nu,i1,3\nu,i2,9\nu,i3,7\n");
  PrepareOptions options = scratch.options();
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("interactions.csv:1: header without a column 'user' (it has visitor, sku, when)"));
  options.source.columns = {{"user", "visitor"}, {"item", "sku"}, {"time", "when"}};
  EXPECT_THAT(pairs_of(leave_last_out(scratch, options), Part::kTest), ElementsAre("u i2"));
}

TEST(UserFiles, that_are_one_file_need_no_folder_and_no_name) {
  const Scratch scratch;
  const auto file = scratch.write(
      "BX-Book-Ratings.csv",
      "\"User-ID\";\"ISBN\";\"Book-Rating\"\n\"276725\";\"034545104X\";\"0\"\n\"276726\";\"0155061224\";\"5\"\n");
  scratch.write("BX-Users.csv", "\"User-ID\";\"Location\"\n\"276725\";\"nyc, usa\"\n");
  PrepareOptions options = scratch.options();
  options.input = file;
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("no texts to train a tokenizer"));  // all else is read
  options.input = scratch.in();
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("it holds BX-Book-Ratings.csv, BX-Users.csv"));
}

}  // namespace
}  // namespace cllm::testing
