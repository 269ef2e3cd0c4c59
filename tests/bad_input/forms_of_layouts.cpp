// Forms of folders: several files where one is expected, parts of splits, columns of one file and another.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

const std::string kRatings = "userId,movieId,rating,timestamp", kRating = "@,#,&.5,%";
const std::string kParts = "parts of a split, which would be split anew";

Forms parts_of_splits() {
  constexpr auto kFault = FaultKind::kParts;
  const auto two = [&](const std::string& name, const std::string& form, const std::string& right,
                       const std::string& first, const std::string& second, const std::string& header,
                       const std::string& row, std::vector<std::string> says) {
    return refused_form(kFault, name, form, right,
                        {{first, rows_of(header, row, "u")}, {second, rows_of(header, row, "v")}}, std::move(says));
  };
  const std::string review = R"({"user_id": "@", "business_id": "#", "stars": 5, "date": "2011-03-1& 10:00:00"})";
  const std::string log = R"({"user_id": "@", "book_id": "#", "rating": 5, "date_added": "2011-03-1& 10:00:00"})";
  const std::string same = "the same", refused = "refused; `--split FILE` is named";
  return {two("ratings_of_a_split", "`ratings_train.csv` and `ratings_test.csv`", refused, "ratings_train.csv",
              "ratings_test.csv", kRatings, kRating, {"ratings_test.csv, ratings_train.csv: " + kParts}),
          two("ratings_beside_a_part", "`ratings_Books.csv` and `ratings_Books_test.csv`", same, "ratings_Books.csv",
              "ratings_Books_test.csv", "", "@,#,&.5,%", {kParts}),
          two("ratings_of_folds", "`ratings_fold1.csv` and `ratings_fold2.csv`", same, "ratings_fold1.csv",
              "ratings_fold2.csv", kRatings, kRating, {kParts, "--split FILE"}),
          two("yelp_of_a_split", "`yelp_review.json` and `yelp_test_review.json`", same, "yelp_review.json",
              "yelp_test_review.json", "", review, {kParts}),
          two("genres_of_a_split", "`goodreads_interactions_train.json` and `goodreads_interactions_test.json`", same,
              "goodreads_interactions_train.json", "goodreads_interactions_test.json", "", log, {kParts}),
          two("recbole_of_a_split", "`a.train.inter` and `a.test.inter` (RecBole)", same, "a.train.inter",
              "a.test.inter", "user_id:token\titem_id:token\ttimestamp:float", "@\t#\t%", {kParts}),
          two("recbole_parts", "`a.part1.inter` and `a.part2.inter` (RecBole's names for them)", same, "a.part1.inter",
              "a.part2.inter", "user_id:token\titem_id:token\ttimestamp:float", "@\t#\t%",
              {"a.part1.inter, a.part2.inter; give the one to read", "--split FILE"}),
          two("ends_of_a_split", "`u1.base` and `u1.test` (MovieLens 100K)", same, "u1.base", "u1.test", "",
              "@\t#\t5\t%", {"u1.base, u1.test: " + kParts}),
          two("parts_in_camel_case", "`trainRatings.csv` and `testRatings.csv`", same, "trainRatings.csv",
              "testRatings.csv", kRatings, kRating, {kParts})};
}

Forms joined_files() {
  constexpr auto kFault = FaultKind::kPublicFiles;
  const std::string log = R"({"user_id": "@", "book_id": "#", "rating": 5, "date_added": "2011-03-1& 10:00:00"})";
  return {read_form(kFault, "ratings_of_years", "`ratings_2019.csv` and `ratings_2020.csv`", "read as one table, noted",
                    {{"ratings_2019.csv", rows_of(kRatings, kRating, "u")},
                     {"ratings_2020.csv", rows_of(kRatings, kRating, "v")}},
                    {"ratings_2019.csv, ratings_2020.csv: read as one table"}),
          read_form(kFault, "two_genres", "Goodreads of two genres", "the same; a book of both counts once",
                    {{"goodreads_interactions_poetry.json", rows_of("", log)},
                     {"goodreads_interactions_comics_graphic.json", rows_of("", log, "v")}},
                    {"read as one table of interactions", "repeated interactions merged: 3"}),
          read_form(kFault, "an_extract_beside_the_whole", "`ratings_small.csv` beside `ratings_full.csv`",
                    "read once; that it is an extract is noted",
                    {{"ratings_full.csv", rows_of(kRatings, kRating)},
                     {"ratings_small.csv", rows_of(kRatings, kRating, "v")}},
                    {"ratings_small.csv: 3 of 3 rows stand in another file, too"}),
          refused_form(kFault, "two_systems_of_ids", "Goodreads' interactions as CSV and as JSON",
                       "refused: the ids are others",
                       {{"goodreads_interactions.csv", "user_id,book_id,is_read,rating,is_reviewed\n1,2,1,5,0\n"},
                        {"goodreads_interactions_poetry.json", rows_of("", log)}},
                       {"by other ids than the JSON; keep one of them"})};
}

std::string many_ratings() {
  std::string out = kRatings + "\n";
  for (int n = 0; n < 2000; ++n) out += std::to_string(n / 20) + "," + std::to_string(n % 20) + ",5,1300000000\n";
  return out;
}

/// A bad row for each of `bad`, in a file of 20 titles.
std::string titles(int bad) {
  std::string out = "movieId,title,genres\n";
  for (int n = 0; n < 20; ++n) out += std::to_string(n) + (n < bad ? ",One, more,x\n" : ",Two more,x\n");
  return out;
}

Forms lost_texts() {
  constexpr auto kFault = FaultKind::kTexts;
  return {refused_form(kFault, "all_titles_are_bad", "20 bad rows in `movies.csv` beside 2,000 good ratings",
                       "refused: the limit of errors holds for each file",
                       {{"ratings.csv", many_ratings()}, {"movies.csv", titles(20)}},
                       {"20 of 20 rows of movies.csv are bad", "movies.csv:2: 4 columns instead of 3"}),
          {kFault,
           "few_titles_are_bad",
           "the same, 3 of them bad",
           "read; they are shown with file:line",
           raw_files({{"ratings.csv", many_ratings()}, {"movies.csv", titles(3)}}),
           {"prepare --input raw --output other --tokenizer corpus/tokenizer"},
           0,
           {"bad rows left out, wrong column count: 3", "movies.csv:4: 4 columns instead of 3", "34 texts of"}},
          refused_form(kFault, "several_kinds_in_items",
                       "`items.csv` that lists an item again for another kind of text", "refused; `texts.*` is named",
                       {plain(), {"items.csv", "item,kind,text\na,title,x y\na,about,y z\nb,title,y\nc,title,z\n"}},
                       {"items.csv:3: id 'a' is listed again", "a file texts.* of the columns item, kind and text"})};
}

Forms columns_of_several_files() {
  constexpr auto kFault = FaultKind::kColumns;
  const std::pair<std::string, std::string> movies{"interactions.csv", rows_of("user_id,movieId,timestamp", "@,#,%")};
  const std::pair<std::string, std::string> pairs{"texts.csv", "user,item,opinion\nu,a,fine words\nu,c,SECRET\n"};
  const std::string opinion = "--columns text=opinion";
  const std::pair<std::string, std::string> ids{"interactions.csv", rows_of("user,item_id,time", "@,#,%")};
  const std::string book = R"({"asin": "&", "book_id": "#", "title": "Title of #"})";
  const std::string log = R"({"user_id": "@", "book_id": "#", "date_added": "2011-03-1& 10:00:00"})";
  return {
      read_form(kFault, "two_ids_of_items", "interactions of `movieId`, `items.csv` of `item_id` and `movieId`",
                "joined by the name that the interactions use",
                {movies, {"items.csv", "item_id,movieId,title\nb,a,One more\nx,b,Two more\ny,c,Three more\n"}},
                {"items.csv: not used: item_id", "3 texts of"}),
      read_form(kFault, "asin_beside_book_id", "`asin` before `book_id` in the books of Goodreads", "the same",
                {{"goodreads_interactions_poetry.json", rows_of("", log)},
                 {"goodreads_books_poetry.json", rows_of("", book, "u")}},
                {"3 texts of", "not used: asin"}),
      refused_form(kFault, "other_ids_of_items", "ids of the interactions in the second of two columns of `items.csv`",
                   "refused; the column and the option are named",
                   {plain(), {"items.csv", "asin,book_id,title\nx,a,One\ny,b,Two\nz,c,Three\n"}},
                   {"the item of items.csv is its column 'asin'; is it 'book_id'? --columns item=NAME"}),
      read_form(kFault, "other_ids_of_items_chosen", "the same with `--columns item=book_id`", "read",
                {plain(), {"items.csv", "asin,book_id,title\nx,a,One\ny,b,Two\nz,c,Three\n"}}, {"3 texts of"},
                "--columns item=book_id"),
      refused_form(kFault, "other_ids_called_id", "`item_id,id,title`, the ids of the interactions stand in `id`",
                   "the same", {ids, {"items.csv", "item_id,id,title\n101,a,One\n102,b,Two\n103,c,Three\n"}},
                   {"the ids of the interactions stand in column 2 of items.csv: --columns item=id"}),
      read_form(kFault, "other_ids_called_id_chosen", "the same with `--columns item=id`", "read",
                {ids, {"items.csv", "item_id,id,title\n101,a,One\n102,b,Two\n103,c,Three\n"}}, {"3 texts of"},
                "--columns item=id"),
      refused_form(kFault, "titles_before_ids", "`One thing,a`, titles before ids and no header",
                   "refused; the column with the ids and the header to write are named",
                   {plain(), {"items.csv", "One thing,a\nTwo things,b\nThree things,c\n"}},
                   {"stand in column 2 of items.csv, which has no header: write one above it, text, item"}),
      refused_form(kFault, "opinions_of_pairs", "`texts.csv` of `user,item,opinion`", "refused; the option is named",
                   {plain(), pairs}, {"texts.csv:1: header without a column 'text'", "--columns text=NAME"}),
      read_form(kFault, "opinions_chosen", "the same with `" + opinion + "`", "read; interactions need no such column",
                {plain(), pairs}, {"1 texts of", "texts of held-out pairs left out: 1"}, opinion),
      read_form(kFault, "words_of_things", "`--columns item=thing,text=words`, of which `interactions.csv` has `thing`",
                "read",
                {{"interactions.csv", rows_of("user,thing,timestamp", "@,#,%")},
                 {"items.csv", "thing,words\na,foo bar\nb,foo baz\nc,boo baz\n"}},
                {"3 texts of"}, "--columns item=thing,text=words"),
      refused_form(kFault, "words_nobody_has", "the same where no file has `words`", "refused",
                   {{"interactions.csv", rows_of("user,thing,timestamp", "@,#,%")},
                    {"items.csv", "thing,title\na,foo bar\nb,foo baz\nc,boo baz\n"}},
                   {"without a column 'words'"}, "--columns item=thing,text=words")};
}

}  // namespace

Forms forms_of_layouts() {
  Forms all;
  for (const Forms& forms : {parts_of_splits(), joined_files(), lost_texts(), columns_of_several_files()})
    all.insert(all.end(), forms.begin(), forms.end());
  return all;
}

}  // namespace cllm::testing
