#include <gmock/gmock.h>

#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "data/corpus/files.h"
#include "data/corpus/manifest.h"
#include "data/corpus/shards.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(CLLM_SOURCE_DIR) / "tests/data/corpus/golden" / name;
}

/// "item@time" of a user's part, in the order of the corpus.
std::vector<std::string> timed_history(const Corpus& corpus, std::string_view user, Part part) {
  const int64_t id = corpus.find_user(user).value();
  const auto items = corpus.history(id, part);
  const auto times = corpus.times(id, part);
  std::vector<std::string> found;
  for (size_t n = 0; n < items.size(); ++n)
    found.push_back(std::string(corpus.item_raw_id(items[n])) + (times.empty() ? "" : "@" + std::to_string(times[n])));
  return found;
}

/// One user with a history that is neither in the order of the file nor of the ids, everything for training.
class TimedCorpus : public ::testing::Test {
 protected:
  void SetUp() override {
    scratch.write("items.tsv", "a\tred hat\nb\tgreen coat\nc\t\nd\t\n");
    scratch.write("interactions.tsv",
                  "user\titem\ttime\trating\nu\ta\t30\t4\nu\tb\t10\t1.5\nu\tc\t20\t\nu\td\t10\t5\nv\ta\t-7\t3\n");
    PrepareOptions options = scratch.options();
    options.max_text_tokens = 8;  // cuts a text, so that its bytes and its tokens are not as many
    options.split = SplitMethod::kFile;
    options.split_file = scratch.write(
        "split.tsv", "user\titem\tpart\nu\ta\ttrain\nu\tb\ttrain\nu\tc\ttrain\nu\td\ttrain\nv\ta\ttest\n");
    prepare(options);
    dir = options.output;
  }
  Scratch scratch;
  std::filesystem::path dir;
};

TEST_F(TimedCorpus, keeps_histories_in_time_order_and_ties_in_the_order_of_the_file) {
  const Corpus corpus = Corpus::open(dir, true);
  EXPECT_EQ(corpus.version(), 2);
  EXPECT_TRUE(corpus.has_times());
  EXPECT_THAT(timed_history(corpus, "u", Part::kTrain), ElementsAre("b@10", "d@10", "c@20", "a@30"));
  EXPECT_THAT(timed_history(corpus, "u", Part::kTest), IsEmpty());
  EXPECT_THAT(timed_history(corpus, "v", Part::kTest), ElementsAre("a@-7"));
  const int64_t user = corpus.find_user("u").value();
  const auto ascending = corpus.items(user, Part::kTrain);
  EXPECT_TRUE(std::is_sorted(ascending.begin(), ascending.end()));
  EXPECT_THAT(corpus.history(user, Part::kTrain), ::testing::UnorderedElementsAreArray(ascending));
  EXPECT_THROW(corpus.history(2, Part::kTrain), std::out_of_range);
  EXPECT_THROW(corpus.times(-1, Part::kTrain), std::out_of_range);
  EXPECT_THROW(corpus.ratings(2, Part::kTrain), std::out_of_range);
}

TEST_F(TimedCorpus, keeps_ratings_beside_the_history_and_nan_where_there_is_none) {
  const Corpus corpus = Corpus::open(dir);
  EXPECT_TRUE(corpus.has_ratings());
  const auto ratings = corpus.ratings(corpus.find_user("u").value(), Part::kTrain);
  ASSERT_EQ(ratings.size(), 4u);
  EXPECT_EQ(ratings[0], 1.5f);
  EXPECT_EQ(ratings[1], 5.0f);
  EXPECT_TRUE(std::isnan(ratings[2]));
  EXPECT_EQ(ratings[3], 4.0f);
}

TEST_F(TimedCorpus, keeps_the_raw_texts) {
  const Corpus corpus = Corpus::open(dir);
  ASSERT_EQ(corpus.num_texts(), 2);
  EXPECT_EQ(corpus.raw_text(0), "red hat");
  EXPECT_EQ(corpus.raw_text(1), "green coat");
  EXPECT_THROW(corpus.raw_text(2), std::out_of_range);
}

TEST(CorpusVersion2, has_no_times_and_no_ratings_if_the_input_has_none_and_keeps_the_order_of_the_file) {
  const Scratch scratch;
  scratch.write("items.tsv", "a\tone item\nb\t\nc\t\n");
  scratch.write("interactions.tsv", "u\tc\nu\ta\n");
  prepare(scratch.options());
  const Corpus corpus = Corpus::open(scratch.options().output, true);
  EXPECT_FALSE(corpus.has_times());
  EXPECT_FALSE(corpus.has_ratings());
  EXPECT_THAT(corpus.times(0, Part::kTrain), IsEmpty());
  EXPECT_THAT(corpus.ratings(0, Part::kTrain), IsEmpty());
  EXPECT_THAT(timed_history(corpus, "u", Part::kTrain), ElementsAre("c", "a"));
}

TEST(CorpusVersion1, is_read_as_histories_by_ascending_id_without_times_ratings_and_raw_texts) {
  const Corpus corpus = Corpus::open(golden_folder("version-1"), true);
  EXPECT_EQ(corpus.version(), 1);
  EXPECT_EQ(corpus.vocabulary().num_users, 6);
  EXPECT_EQ(corpus.fingerprint(), "1db97a5f1846a126ff308b8c9bd8926a");
  EXPECT_FALSE(corpus.has_times());
  EXPECT_FALSE(corpus.has_ratings());
  for (int64_t user = 0; user < 6; ++user) {
    EXPECT_THAT(corpus.history(user, Part::kTrain), ::testing::ElementsAreArray(corpus.items(user, Part::kTrain)));
    EXPECT_THAT(corpus.times(user, Part::kTrain), IsEmpty());
    EXPECT_THAT(corpus.ratings(user, Part::kTrain), IsEmpty());
  }
  EXPECT_THAT(error_of([&] { corpus.raw_text(0); }),
              HasSubstr("is of format version 1, which keeps no raw texts; prepare it anew"));
}

/// The two versions of one input: what today's callers see must be the same, bit for bit.
TEST(CorpusVersion1, and_version_2_of_the_same_input_have_the_same_ids_parts_and_tokens) {
  const Scratch scratch;
  PrepareOptions options = scratch.options();
  options.input = golden_folder("input");
  options.split = SplitMethod::kLeaveLastOut;
  prepare(options);
  const Corpus old = Corpus::open(golden_folder("version-1")), now = Corpus::open(options.output);
  ASSERT_EQ(now.vocabulary().num_users, old.vocabulary().num_users);
  ASSERT_EQ(now.num_texts(), old.num_texts());
  for (int64_t user = 0; user < 6; ++user) {
    EXPECT_EQ(now.user_raw_id(user), old.user_raw_id(user));
    for (const Part part : {Part::kTrain, Part::kValidation, Part::kTest})
      EXPECT_THAT(now.items(user, part), ::testing::ElementsAreArray(old.items(user, part)));
  }
  for (int64_t n = 0; n < now.num_texts(); ++n) {
    EXPECT_EQ(now.text(n).user, old.text(n).user);
    EXPECT_THAT(now.text(n).tokens, ::testing::ElementsAreArray(old.text(n).tokens));
  }
}

/// Bytes of a dataset in its file, to damage them; the reader's own mapping tells where they are.
class DamagedVersion2 : public TimedCorpus {
 protected:
  template <typename T>
  void overwrite(const std::string& family, const std::string& dataset, size_t element, T value) const {
    const std::string name = family + "-000000.h5";
    std::string file = read_small_file(dir / name, 1 << 24);
    const CorpusManifest manifest =
        CorpusManifest::parse(read_small_file(dir / kManifestName, 1 << 24), dir / kManifestName);
    const auto specs = family == "users" ? user_datasets(manifest.users[0].rows, manifest.columns)
                                         : text_datasets(manifest.texts[0].rows, manifest.columns);
    std::string bytes;
    {
      const ShardFile shard = ShardFile::open(dir / name, file.size(), specs);
      const auto values = shard.dataset<T>(dataset);
      ASSERT_LT(element, values.size());
      bytes.assign(reinterpret_cast<const char*>(values.data()), values.size_bytes());
    }
    const size_t at = file.find(bytes);
    ASSERT_NE(at, std::string::npos);
    ASSERT_EQ(file.find(bytes, at + 1), std::string::npos) << "the bytes are not unique";
    file.replace(at + element * sizeof(T), sizeof(T), std::string(reinterpret_cast<const char*>(&value), sizeof(T)));
    std::ofstream(dir / name, std::ios::binary) << file;
  }
  int64_t user() const { return Corpus::open(dir).find_user("u").value(); }
};

TEST_F(DamagedVersion2, with_times_that_go_back_is_refused) {
  overwrite<int64_t>("users", "train_times", 1, 9);  // after a time of 10
  const Corpus corpus = Corpus::open(dir);
  EXPECT_THAT(error_of([&] { corpus.times(user(), Part::kTrain); }), HasSubstr("the train times of user "));
}

TEST_F(DamagedVersion2, with_an_id_out_of_range_in_a_history_is_refused) {
  overwrite<int32_t>("users", "train_history", 2, 4);
  const Corpus corpus = Corpus::open(dir);
  EXPECT_THAT(error_of([&] { corpus.history(user(), Part::kTrain); }), HasSubstr("the train history of user "));
}

TEST_F(DamagedVersion2, with_an_item_twice_in_a_history_is_refused) {
  const int32_t first = Corpus::open(dir).history(user(), Part::kTrain)[0];
  overwrite<int32_t>("users", "train_history", 3, first);
  const Corpus corpus = Corpus::open(dir);
  EXPECT_THAT(error_of([&] { corpus.history(user(), Part::kTrain); }), HasSubstr("the train history of user "));
}

TEST_F(DamagedVersion2, with_an_infinite_rating_is_refused) {
  overwrite<float>("users", "train_ratings", 0, INFINITY);
  const Corpus corpus = Corpus::open(dir);
  EXPECT_THAT(error_of([&] { corpus.ratings(user(), Part::kTrain); }), HasSubstr("the train ratings of user "));
}

TEST_F(DamagedVersion2, with_raw_offsets_that_go_back_is_refused) {
  overwrite<int64_t>("texts", "raw_offsets", 1, 1000);
  const Corpus corpus = Corpus::open(dir);
  EXPECT_THAT(error_of([&] { corpus.raw_text(0); }), HasSubstr("a row of the corpus is damaged (offsets 0 .. 1000"));
  EXPECT_THAT(error_of([&] { corpus.raw_text(1); }), HasSubstr("a row of the corpus is damaged (offsets 1000 .. 17"));
}

TEST_F(DamagedVersion2, with_raw_offsets_that_end_elsewhere_is_refused_when_it_is_opened) {
  overwrite<int64_t>("texts", "raw_offsets", 2, 16);
  EXPECT_THAT(error_of([&] { Corpus::open(dir); }), HasSubstr("the offsets do not end where the values end"));
}

TEST_F(DamagedVersion2, with_a_manifest_that_promises_or_hides_columns_is_refused) {
  const std::string manifest = read_small_file(dir / kManifestName, 1 << 24);
  const auto error_with = [&](const std::function<void(nlohmann::ordered_json&)>& change) {
    auto json = nlohmann::ordered_json::parse(manifest);
    change(json);
    json.erase("fingerprint");
    json["fingerprint"] = digest_of(json.dump());
    std::ofstream(dir / kManifestName, std::ios::binary) << json.dump();
    return error_of([&] { Corpus::open(dir); });
  };
  EXPECT_THAT(error_with([](auto& j) { j.erase("histories"); }), HasSubstr("histories"));
  EXPECT_THAT(error_with([](auto& j) { j["histories"]["times"] = 3; }), HasSubstr("damaged"));
}

}  // namespace
}  // namespace cllm::testing
