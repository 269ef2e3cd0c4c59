#include "data/ingest/retokenize.h"

#include <gmock/gmock.h>

#include <map>

#include "data/corpus/files.h"
#include "data/text/tokenizer.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::HasSubstr;

std::map<std::string, std::string> corpus_files(const std::filesystem::path& dir) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) files[entry.path().lexically_relative(dir)] = read_small_file(entry.path(), 1 << 24);
  }
  return files;
}

/// A corpus of several text shards, some of whose texts are cut, and a tokenizer that it does not have.
class Retokenize : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string items, interactions = "user\titem\ttime\n", texts;
    for (int n = 0; n < 40; ++n) {
      items += "i" + std::to_string(n) + "\tthe \xC3\xBC thing number " + std::to_string(n * n) + " is a thing\n";
      for (int k = 0; k < 5; ++k) {
        const std::string pair = "u" + std::to_string(n) + "\ti" + std::to_string((n + k * 7) % 40);
        interactions += pair + "\t" + std::to_string(100 - k) + "\n";
        texts +=
            pair + "\tgood " + std::string(static_cast<size_t>(n * 11), 'z') + " thing " + std::to_string(k) + "\n";
      }
    }
    scratch.write("items.tsv", items);
    scratch.write("interactions.tsv", interactions);
    scratch.write("texts.tsv", texts);
    prepared = scratch.options();
    prepared.max_text_tokens = 5;  // 64 bytes of a text per token are looked at: both limits cut
    prepared.shard_bytes = 3000;
    prepare(prepared);
    std::vector<std::string> words = {"the thing is a thing", "good thing"};
    size_t next = 0;
    const auto stream = [&]() -> std::optional<std::string_view> {
      return next < words.size() ? std::optional<std::string_view>(words[next++]) : std::nullopt;
    };
    std::filesystem::create_directories(scratch.path() / "other");
    Tokenizer::train(stream, 265).save(scratch.path() / "other");
    options.corpus = prepared.output;
    options.output = scratch.path() / "again";
    options.threads = 1;
  }
  std::map<std::string, std::string> prepared_anew() {
    prepared.output = scratch.path() / "anew";
    prepare(prepared);
    return corpus_files(prepared.output);
  }

  Scratch scratch;
  PrepareOptions prepared;
  RetokenizeOptions options;
};

TEST_F(Retokenize, gives_the_bytes_that_preparing_anew_with_that_tokenizer_gives) {
  options.tokenizer = prepared.tokenizer = scratch.path() / "other";
  prepared.train_tokenizer = 0;
  const auto expected = prepared_anew();
  std::filesystem::remove_all(scratch.in());  // the raw files are not needed
  const RetokenizeReport report = retokenize(options);
  EXPECT_TRUE(expected.contains("texts-000001.h5"));
  EXPECT_EQ(corpus_files(options.output), expected);
  EXPECT_NE(expected.at("texts-000000.h5"), corpus_files(options.corpus).at("texts-000000.h5"));
  const Corpus corpus = Corpus::open(options.output, true);
  EXPECT_EQ(report.num_words, corpus.vocabulary().num_words);
  EXPECT_EQ(report.num_texts, corpus.num_texts());
  EXPECT_GT(report.cut_texts, 0u);
}

TEST_F(Retokenize, trains_the_tokenizer_that_preparing_anew_trains) {
  options.train_tokenizer = prepared.train_tokenizer = 270;
  const auto expected = prepared_anew();
  retokenize(options);
  EXPECT_EQ(corpus_files(options.output), expected);
}

TEST_F(Retokenize, back_and_forth_gives_the_corpus_of_the_beginning) {
  const auto before = corpus_files(options.corpus);
  options.tokenizer = scratch.path() / "other";
  retokenize(options);
  RetokenizeOptions back = options;
  back.corpus = options.output;
  back.tokenizer.clear();
  back.train_tokenizer = 257;
  back.output = options.corpus;
  back.overwrite = true;
  retokenize(back);
  EXPECT_EQ(corpus_files(options.corpus), before);
}

TEST_F(Retokenize, replaces_the_corpus_itself_only_if_told) {
  options.tokenizer = scratch.path() / "other";
  options.output = options.corpus;
  EXPECT_THAT(error_of([&] { retokenize(options); }), HasSubstr("out: exists already"));
  options.overwrite = true;
  retokenize(options);
  EXPECT_EQ(Corpus::open(options.corpus, true).tokenizer_fingerprint(),
            Tokenizer::load(options.tokenizer).fingerprint());
}

TEST_F(Retokenize, refuses_a_corpus_of_version_1_a_damaged_one_and_leaves_nothing_behind) {
  options.tokenizer = scratch.path() / "other";
  const auto damaged = options.corpus;
  options.corpus = std::filesystem::path(CLLM_SOURCE_DIR) / "tests/data/corpus/golden/version-1";
  EXPECT_THAT(error_of([&] { retokenize(options); }),
              HasSubstr("version-1: is of format version 1, which keeps no raw texts; prepare it anew"));
  options.corpus = damaged;
  std::string shard = read_small_file(damaged / "texts-000000.h5", 1 << 24);
  shard.back() = static_cast<char>(shard.back() ^ 1);
  std::ofstream(damaged / "texts-000000.h5", std::ios::binary) << shard;
  EXPECT_THAT(error_of([&] { retokenize(options); }), HasSubstr("texts-000000.h5: checksum"));
  options.corpus = scratch.path() / "nothing";
  EXPECT_THAT(error_of([&] { retokenize(options); }), HasSubstr("corpus.json: no such file"));
  EXPECT_FALSE(std::filesystem::exists(options.output));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 3);  // in, out and other
}

}  // namespace
}  // namespace cllm::testing
