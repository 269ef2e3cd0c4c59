#include "data/corpus/corpus.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <thread>

#include "data/corpus/files.h"
#include "data/corpus/manifest.h"
#include "data/corpus/shard_file.h"
#include "data/random.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

/// A corpus of 30 users and 20 items in several shards.
class CorpusFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string interactions = "user\titem\ttime\trating\n", items;
    for (int item = 0; item < 20; ++item)
      items += "item " + std::to_string(item) + "\ttext number " + std::to_string(item) + "\n";
    for (int user = 0; user < 30; ++user) {
      for (int n = 0; n < 3 + user % 7; ++n)
        interactions += "user " + std::to_string(user) + "\titem " + std::to_string((user * 3 + n) % 20) + "\t" +
                        std::to_string(n * 5 % 4) + "\t" + std::to_string(n % 5) + "\n";
    }
    scratch.write("items.tsv", items);
    scratch.write("interactions.tsv", interactions);
    PrepareOptions options = scratch.options();
    options.shard_bytes = 600;
    prepare(options);
    dir = options.output;
  }

  std::string text_of(const std::string& name) const { return read_small_file(dir / name, 1 << 24); }
  void replace(const std::string& name, const std::string& text) const {
    std::ofstream(dir / name, std::ios::binary) << text;
  }
  std::string open_error(bool verify = false) const {
    return error_of([&] { Corpus::open(dir, verify); });
  }
  /// Touches everything; a DataError is allowed, anything else is not.
  bool reads_completely() const {
    try {
      const Corpus corpus = Corpus::open(dir);
      for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
        for (int part = 0; part < kNumParts; ++part) {
          for (const int32_t item : corpus.items(user, static_cast<Part>(part))) corpus.item_raw_id(item);
          for (const int32_t item : corpus.history(user, static_cast<Part>(part))) corpus.item_raw_id(item);
          corpus.times(user, static_cast<Part>(part));
          corpus.ratings(user, static_cast<Part>(part));
        }
        corpus.find_user(corpus.user_raw_id(user));
      }
      for (int64_t n = 0; n < corpus.num_texts(); ++n) {
        corpus.text(n);
        corpus.raw_text(n);
      }
    } catch (const DataError&) {
      return false;
    }
    return true;
  }

  Scratch scratch;
  std::filesystem::path dir;
};

TEST_F(CorpusFiles, have_several_shards_and_give_every_row) {
  const Corpus corpus = Corpus::open(dir, true);
  EXPECT_TRUE(std::filesystem::exists(dir / "users-000002.h5"));
  EXPECT_EQ(corpus.vocabulary().num_users, 30);
  EXPECT_EQ(corpus.vocabulary().num_items, 20);
  EXPECT_EQ(corpus.vocabulary().num_words, 257);
  int64_t total = 0;
  for (int64_t user = 0; user < 30; ++user) {
    const std::string raw(corpus.user_raw_id(user));
    EXPECT_EQ(corpus.find_user(raw), user);
    const int number = std::stoi(raw.substr(5));
    int64_t count = 0;
    for (int part = 0; part < kNumParts; ++part) {
      const auto items = corpus.items(user, static_cast<Part>(part));
      EXPECT_EQ(corpus.num_items(user, static_cast<Part>(part)), static_cast<int64_t>(items.size()));
      EXPECT_TRUE(std::is_sorted(items.begin(), items.end()));
      count += static_cast<int64_t>(items.size());
    }
    EXPECT_EQ(count, 3 + number % 7);
    total += count;
  }
  EXPECT_EQ(total, corpus.num_interactions(Part::kTrain) + corpus.num_interactions(Part::kValidation) +
                       corpus.num_interactions(Part::kTest));
  EXPECT_EQ(corpus.find_user("user 30"), std::nullopt);
  EXPECT_EQ(corpus.find_item("user 1"), std::nullopt);
  EXPECT_EQ(corpus.num_texts(), 20);
  EXPECT_THROW(corpus.items(30, Part::kTrain), std::out_of_range);
  EXPECT_THROW(corpus.items(-1, Part::kTrain), std::out_of_range);
  EXPECT_THROW(corpus.text(20), std::out_of_range);
}

TEST_F(CorpusFiles, are_read_by_several_threads_and_copies_outlive_the_original) {
  auto corpus = std::make_unique<Corpus>(Corpus::open(dir));
  std::vector<std::jthread> threads;
  for (int n = 0; n < 4; ++n) {
    threads.emplace_back([copy = *corpus] {
      for (int64_t user = 0; user < 30; ++user) EXPECT_FALSE(copy.items(user, Part::kTrain).empty());
    });
  }
  corpus.reset();
}

TEST_F(CorpusFiles, without_a_manifest_are_not_a_corpus) {
  std::filesystem::remove(dir / "corpus.json");
  EXPECT_THAT(open_error(),
              HasSubstr("corpus.json: no such file; is this a folder that `cllm4rec prepare` wrote to the end?"));
}

TEST_F(CorpusFiles, of_another_version_or_format_are_refused) {
  const std::string manifest = text_of("corpus.json");
  auto json = nlohmann::ordered_json::parse(manifest);
  json["version"] = 7;
  replace("corpus.json", json.dump());
  EXPECT_THAT(open_error(), HasSubstr("format version 7, this program reads 1 and 2"));
  replace("corpus.json", "{\"format\": \"something\"}");
  EXPECT_THAT(open_error(), HasSubstr("not the manifest of a corpus"));
  replace("corpus.json", manifest.substr(0, manifest.size() / 2));
  EXPECT_THAT(open_error(), HasSubstr("damaged"));
}

TEST_F(CorpusFiles, with_a_changed_manifest_are_refused) {
  auto json = nlohmann::ordered_json::parse(text_of("corpus.json"));
  json["counts"]["users"] = 31;
  replace("corpus.json", json.dump());
  EXPECT_THAT(open_error(), HasSubstr("changed after it was written (the fingerprint does not fit)"));
}

/// A manifest with a valid fingerprint may still be hostile.
TEST_F(CorpusFiles, with_a_forged_manifest_are_refused) {
  const std::string manifest = text_of("corpus.json");
  const auto forged = [&](auto change) {
    auto json = nlohmann::ordered_json::parse(manifest);
    change(json);
    json.erase("fingerprint");
    json["fingerprint"] = digest_of(json.dump());
    replace("corpus.json", json.dump());
    return open_error();
  };
  EXPECT_THAT(forged([](auto& j) { j["counts"]["users"] = 31; }), HasSubstr("the user shards end at row 30 of 31"));
  EXPECT_THAT(forged([](auto& j) { j["counts"]["users"] = -1; }), HasSubstr("count 'users' is -1"));
  EXPECT_THAT(forged([](auto& j) { j["counts"]["items"] = uint64_t{1} << 40; }), HasSubstr("count 'items' is"));
  EXPECT_THAT(forged([](auto& j) { j["counts"]["train"] = 1; }), HasSubstr("train interactions, the manifest says 1"));
  EXPECT_THAT(forged([](auto& j) { j["shards"]["users"][1]["first_row"] = 0; }),
              HasSubstr("does not continue the rows before it"));
  EXPECT_THAT(forged([](auto& j) { j["shards"]["users"][0]["name"] = "../in/items.tsv"; }),
              HasSubstr("leaves the corpus"));
  EXPECT_THAT(forged([](auto& j) { j["shards"]["users"][0]["name"] = "/etc/passwd"; }), HasSubstr("leaves the corpus"));
  EXPECT_THAT(forged([](auto& j) {
                j["shards"]["users"][0]["rows"] = j["shards"]["users"][0]["rows"].template get<int>() + 1;
              }),
              AnyOf(HasSubstr("does not continue"), HasSubstr("elements, the manifest says")));
  EXPECT_THAT(forged([](auto& j) { j.erase("shards"); }), HasSubstr("shards"));
  EXPECT_THAT(forged([](auto& j) { j["text_kinds"] = 5; }), HasSubstr("damaged"));
}

TEST_F(CorpusFiles, with_missing_short_or_swapped_shards_are_refused) {
  const std::string shard = text_of("users-000001.h5");
  std::filesystem::remove(dir / "users-000001.h5");
  EXPECT_THAT(open_error(), HasSubstr("users-000001.h5: cannot open: No such file or directory"));
  replace("users-000001.h5", shard.substr(0, shard.size() - 1));
  EXPECT_THAT(open_error(), HasSubstr(std::to_string(shard.size() - 1) + " bytes, the manifest says " +
                                      std::to_string(shard.size())));
  replace("users-000001.h5", std::string(shard.size(), '\0'));
  EXPECT_THAT(open_error(), HasSubstr("users-000001.h5: not an HDF5 file of a corpus, or damaged"));
  replace("users-000001.h5", shard);
  EXPECT_NO_THROW(Corpus::open(dir, true));
  std::filesystem::remove(dir / "tokenizer" / "merges.txt");
  EXPECT_THAT(open_error(), HasSubstr("merges.txt: missing, or not the"));
}

TEST_F(CorpusFiles, with_any_flipped_bit_fail_the_checksums_and_never_crash_the_reader) {
  CounterRng rng(11);
  for (const std::string name : {"users-000000.h5", "items-000000.h5", "texts-000000.h5"}) {
    const std::string good = text_of(name);
    for (int n = 0; n < 60; ++n) {
      std::string bad = good;
      char& byte = bad[rng.below(bad.size())];
      byte = static_cast<char>(byte ^ (1 << rng.below(8)));
      replace(name, bad);
      reads_completely();
      EXPECT_THROW(Corpus::open(dir, true), DataError) << name;
    }
    replace(name, good);
  }
  EXPECT_TRUE(reads_completely());
}

TEST(ShardFile, refuses_datasets_that_are_not_what_is_expected) {
  const Scratch scratch;
  const std::vector<int32_t> values = {1, 2, 3};
  const auto file = scratch.path() / "a.h5";
  write_shard(file, std::vector<DatasetView>{{"values", std::span(values)}});
  const uint64_t bytes = std::filesystem::file_size(file);
  const auto error = [&](const DatasetSpec& spec) {
    return error_of([&] { ShardFile::open(file, bytes, std::vector{spec}); });
  };
  EXPECT_THAT(error({"other", ElementType::kInt32, {}}), HasSubstr("dataset 'other' is missing or damaged"));
  EXPECT_THAT(error({"values", ElementType::kInt64, {}}), HasSubstr("dataset 'values' has the wrong element type"));
  EXPECT_THAT(error({"values", ElementType::kInt32, 4}),
              HasSubstr("dataset 'values' has 3 elements, the manifest says 4"));
  const std::vector<DatasetSpec> specs = {{"values", ElementType::kInt32, 3}};
  EXPECT_THAT(ShardFile::open(file, bytes, specs).dataset<int32_t>("values"), ::testing::ElementsAre(1, 2, 3));
  EXPECT_THAT(error_of([&] { write_shard(file, {}); }), HasSubstr("a.h5: cannot create"));
}

TEST(ShardFile, holds_empty_datasets) {
  const Scratch scratch;
  const std::vector<uint8_t> nothing;
  const auto file = scratch.path() / "a.h5";
  write_shard(file, std::vector<DatasetView>{{"nothing", std::span(nothing)}});
  const std::vector<DatasetSpec> specs = {{"nothing", ElementType::kUint8, 0}};
  EXPECT_TRUE(ShardFile::open(file, std::filesystem::file_size(file), specs).dataset<uint8_t>("nothing").empty());
}

}  // namespace
}  // namespace cllm::testing
