#include <gmock/gmock.h>

#include "tests/data/ingest/scratch.h"
#include "tests/data/ingest/zip_writer.h"

namespace cllm::testing {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

Corpus prepared(const PrepareOptions& options) {
  prepare(options);
  return Corpus::open(options.output, true);
}

void expect_own_layout(const Corpus& corpus) {
  EXPECT_THAT(all_pairs(corpus), ElementsAre("ann x", "ann y", "bob x"));
  EXPECT_THAT(texts_of(corpus), UnorderedElementsAre("biography ann - 8", "content - x 7", "content - y 3",
                                                     "review ann x 4", "note - y 3"));
}

TEST(OwnLayout, is_read_from_tsv) {
  const Scratch scratch;
  scratch.write("users.tsv", "ann\tlikes it\nbob\t\n");
  scratch.write("items.tsv", "x\tan item\ny\tbig\n");
  scratch.write("interactions.tsv", "user\titem\ttime\nann\tx\t1\nann\ty\t2\nbob\tx\t3\n");
  scratch.write("texts.tsv", "user\titem\ttext\tkind\nann\tx\tgood\t\n\ty\told\tnote\n");
  expect_own_layout(prepared(scratch.options()));
}

TEST(OwnLayout, is_read_from_parts_in_an_archive) {
  const Scratch scratch;
  write_zip(scratch.in() / "all.zip", {{"set/interactions-1.csv", "user,item,time\nann,y,2\nbob,x,3\n", true},
                                       {"set/interactions-0.csv", "user,item,time\nann,x,1\n", false},
                                       {"set/items.csv", "item,text\nx,an item\ny,\n", false},
                                       {"set/interactions-2.csv", "bob,y,4\n", true}});
  EXPECT_THAT(all_pairs(prepared(scratch.options())), ElementsAre("ann x", "ann y", "bob x", "bob y"));
}

TEST(OwnLayout, is_read_from_csv_with_headers) {
  const Scratch scratch;
  scratch.write("users.csv", "user,text\nann,likes it\nbob,\n");
  scratch.write("items.csv.gz", "id,text\nx,an item\ny,big\n");
  scratch.write("interactions.csv", "user,item,time,rating\nann,x,1,5\nann,y,2,5\nbob,x,3,5\n");
  scratch.write("texts.csv", "user,item,text,kind\nann,x,good,\n,y,old,note\n");
  expect_own_layout(prepared(scratch.options()));
}

TEST(OwnLayout, is_read_from_json_lines) {
  const Scratch scratch;
  scratch.write("users.jsonl", "{\"user\": \"ann\", \"text\": \"likes it\"}\n{\"user\": \"bob\"}\n");
  scratch.write("items.jsonl", "{\"id\": \"x\", \"text\": \"an item\"}\n{\"id\": \"y\", \"text\": \"big\"}\n");
  scratch.write(
      "interactions.jsonl.gz",
      "{\"user\":\"ann\",\"item\":\"x\",\"time\":1}\n{\"user\":\"ann\",\"item\":\"y\",\"time\":2}\n{\"user\":\"bob\","
      "\"item\":\"x\"}\n");
  scratch.write(
      "texts.jsonl",
      "{\"user\":\"ann\",\"item\":\"x\",\"text\":\"good\"}\n{\"item\":\"y\",\"text\":\"old\",\"kind\":\"note\"}\n");
  expect_own_layout(prepared(scratch.options()));
}

TEST(OwnLayout, needs_interactions_only) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "ann\tx\nann\ty\nbob\tx\n");
  scratch.write("reviews.tsv", "ann\tx\tgood\n");
  PrepareOptions options = scratch.options();
  options.source.texts = scratch.in() / "reviews.tsv";
  const Corpus corpus = prepared(options);
  EXPECT_THAT(all_pairs(corpus), ElementsAre("ann x", "ann y", "bob x"));
  EXPECT_THAT(texts_of(corpus), ElementsAre("review ann x 4"));
}

TEST(OwnLayout, takes_user_texts_without_a_blank_for_ids) {
  const Scratch scratch;
  scratch.write("users.tsv", "0\tA1YJEY40\n1\tA60XNB87\n");
  scratch.write("items.tsv", "x\tan item\n");
  scratch.write("interactions.tsv", "0\tx\n1\tx\n");
  PrepareOptions options = scratch.options();
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.num_texts, 1);
  EXPECT_THAT(report.notices, ::testing::Contains(HasSubstr("taken for ids of another system")));
  options.overwrite = true;
  options.source.user_texts = UserTexts::kYes;
  EXPECT_EQ(prepare(options).num_texts, 3);
  options.source.user_texts = UserTexts::kNo;
  EXPECT_EQ(prepare(options).num_texts, 1);
}

TEST(OwnLayout, refuses_two_candidates_unless_the_format_is_named) {
  const Scratch scratch;
  scratch.write("interactions.tsv", "ann\tx\n");
  scratch.write("interactions.csv", "ann,x\nbob,x\n");
  scratch.write("items.csv", "x,an item\n");
  PrepareOptions options = scratch.options();
  EXPECT_THAT(
      error_of([&] { prepare(options); }),
      ContainsRegex("both .*interactions.csv and .*interactions.tsv; leave one in the input, or name the format"));
  options.source.format = "csv";
  EXPECT_THAT(all_pairs(prepared(options)), ElementsAre("ann x", "bob x"));
}

TEST(MovieLens, reads_ratings_movies_and_tags) {
  const Scratch scratch;
  scratch.write("ratings.csv", "userId,movieId,rating,timestamp\n1,10,4.0,100\n1,20,2.5,101\n2,10,5.0,102\n");
  scratch.write("movies.csv",
                "movieId,title,genres\n10,\"American President, The (1995)\",Comedy|Drama\n20,Heat (1995),(no genres "
                "listed)\n30,X,Y\n");
  scratch.write("tags.csv", "userId,movieId,tag,timestamp\n1,10,fun,1\n1,10,\"a, b\",2\n2,10,old,3\n");
  PrepareOptions options = scratch.options();
  options.rating_threshold = 4.0;
  const PrepareReport report = prepare(options);
  const Corpus corpus = Corpus::open(options.output, true);
  EXPECT_THAT(all_pairs(corpus), ElementsAre("1 10", "2 10"));
  EXPECT_EQ(report.below_threshold, 1u);
  EXPECT_THAT(texts_of(corpus), UnorderedElementsAre("title - 10 30", "genres - 10 13", "tags 1 10 9", "tags 2 10 3"));
}

TEST(Amazon, reads_reviews_and_metadata_of_2018) {
  const Scratch scratch;
  scratch.write("All_Beauty_5.json.gz",
                R"({"overall": 5.0, "reviewerID": "A1", "asin": "B1", "reviewText": "Great!", "unixReviewTime": 1})"
                "\n"
                R"({"overall": 1.0, "reviewerID": "A2", "asin": "B1", "unixReviewTime": 2})"
                "\n");
  scratch.write(
      "meta_All_Beauty.json",
      R"({"category": ["Hair", "Care"], "description": ["Soft.", ""], "title": "Comb", "brand": "Zed", "feature": [], "asin": "B1"})"
      "\n"
      R"({"asin": "B2", "title": "Unrated"})"
      "\n");
  const Corpus corpus = prepared(scratch.options());
  EXPECT_THAT(all_pairs(corpus), ElementsAre("A1 B1", "A2 B1"));
  EXPECT_THAT(texts_of(corpus), UnorderedElementsAre("title - B1 4", "brand - B1 3", "categories - B1 10",
                                                     "description - B1 5", "review A1 B1 6"));
}

TEST(Amazon, reads_the_python_literals_of_2014) {
  const Scratch scratch;
  scratch.write(
      "reviews_Beauty_5.json",
      R"({"reviewerID": "A1", "asin": "B1", "helpful": [0, 1], "reviewText": "ok", "overall": 4.0, "unixReviewTime": 7})"
      "\n");
  scratch.write("meta_Beauty.json",
                R"({'asin': 'B1', 'title': "Bob's", 'price': 3.5, 'categories': [['Beauty', 'Skin']], 'brand': None})"
                "\n");
  const Corpus corpus = prepared(scratch.options());
  EXPECT_THAT(texts_of(corpus), UnorderedElementsAre("title - B1 5", "categories - B1 12", "review A1 B1 2"));
}

TEST(Amazon, joins_the_variants_of_2023_under_their_parent) {
  const Scratch scratch;
  scratch.write(
      "All_Beauty.jsonl",
      R"({"rating": 5.0, "title": "t", "text": "nice", "asin": "V1", "parent_asin": "P", "user_id": "U", "timestamp": 1588687728923})"
      "\n");
  scratch.write(
      "meta_All_Beauty.jsonl",
      R"({"main_category": "B", "title": "Comb", "features": ["red", "big"], "description": [], "store": "Zed", "categories": [], "parent_asin": "P"})"
      "\n");
  const Corpus corpus = prepared(scratch.options());
  EXPECT_THAT(all_pairs(corpus), ElementsAre("U P"));
  EXPECT_THAT(texts_of(corpus), UnorderedElementsAre("title - P 4", "brand - P 3", "features - P 8", "review U P 4"));
}

TEST(Yelp, reads_reviews_and_businesses) {
  const Scratch scratch;
  scratch.write(
      "yelp_academic_dataset_review.json",
      R"({"review_id":"r","user_id":"u","business_id":"b","stars":4.0,"text":"Tasty\nfood","date":"2018-07-07 22:09:11"})"
      "\n");
  scratch.write("yelp_academic_dataset_business.json",
                R"({"business_id":"b","name":"Grill","city":"Reno","stars":4.0,"categories":"Food, Bars"})"
                "\n");
  scratch.write("yelp_academic_dataset_user.json", "{\"user_id\":\"u\"}\n");
  const Corpus corpus = prepared(scratch.options());
  EXPECT_THAT(all_pairs(corpus), ElementsAre("u b"));
  EXPECT_THAT(texts_of(corpus), UnorderedElementsAre("title - b 5", "categories - b 10", "review u b 10"));
}

TEST(Source, says_what_it_looked_for_when_there_is_nothing) {
  const Scratch scratch;
  PrepareOptions options = scratch.options();
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("no input found; it holds nothing; expected interactions.tsv/.csv/.jsonl"));
  scratch.write("data.xlsx", "x");
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("it holds data.xlsx; expected"));
  options.input = scratch.path() / "nowhere";
  EXPECT_THAT(error_of([&] { prepare(options); }), HasSubstr("nowhere: no such folder"));
}

}  // namespace
}  // namespace cllm::testing
