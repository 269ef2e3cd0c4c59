// Every layout that prepare knows, as tests/data/layouts/make writes it: prepared and inspected.

#include "data/ingest/formats/layouts.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/corpus/inspect.h"
#include "data/text/tokenizer.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;

/// The folders that the script writes, and a tokenizer for layouts without texts; once.
const fs::path& written_layouts() {
  struct Folder {
    fs::path path = fs::temp_directory_path() / ("cllm_layouts_" + std::to_string(::getpid()));
    Folder() {
      fs::remove_all(path);
      fs::create_directories(path / "tokenizer");
      const std::string script = CLLM_SOURCE_DIR "/tests/data/layouts/make";
      if (std::system(("python3 " + script + " " + path.string()).c_str()) != 0)
        throw std::runtime_error(script + " failed");
      bool given = false;
      const auto text = [&]() -> std::optional<std::string_view> {
        return std::exchange(given, true) ? std::nullopt : std::optional<std::string_view>("some words");
      };
      Tokenizer::train(text, 257).save(path / "tokenizer");
    }
    ~Folder() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

class PublicLayout : public ::testing::TestWithParam<std::string> {};

TEST_P(PublicLayout, is_read_as_its_publisher_writes_it) {
  const fs::path input = written_layouts() / GetParam();
  std::ifstream in(input.string() + ".json");
  const auto expected = nlohmann::json::parse(in);
  const Scratch scratch;
  PrepareOptions options = scratch.options();
  options.input = input;
  options.split = SplitMethod::kLeaveLastOut;
  options.train_tokenizer = 0;
  options.tokenizer = written_layouts() / "tokenizer";
  PrepareReport report;
  try {
    report = prepare(options);
  } catch (const DataError& error) {
    if (std::string(error.what()).find("this build has no zstd") != std::string::npos) GTEST_SKIP() << error.what();
    throw;
  }
  for (const auto& bad : report.bad_rows) ADD_FAILURE() << bad.problem << ": " << bad.examples[0];
  const Corpus corpus = Corpus::open(options.output, true);
  EXPECT_EQ(corpus.vocabulary().num_users, expected["users"]);
  EXPECT_EQ(corpus.vocabulary().num_items, expected["items"]);
  EXPECT_EQ(all_pairs(corpus).size(), expected["interactions"]);
  EXPECT_EQ(corpus.num_texts(), expected["texts"]) << describe(report);
  EXPECT_EQ(corpus.has_times(), !expected.value("no_times", false));
  const auto test = pairs_of(corpus, Part::kTest);
  EXPECT_EQ(std::vector<std::string>(test.begin(), test.end()), expected["test"]) << describe(report);
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    EXPECT_FALSE(corpus.raw_text(n).empty());
    if (text.user < 0 || text.item < 0) continue;
    const auto trained = corpus.items(text.user, Part::kTrain);
    EXPECT_TRUE(std::binary_search(trained.begin(), trained.end(), static_cast<int32_t>(text.item)))
        << "the text of a held-out pair";
  }
  EXPECT_THAT(describe(corpus), ::testing::AllOf(::testing::HasSubstr("users"), ::testing::HasSubstr("12")));
}

INSTANTIATE_TEST_SUITE_P(all, PublicLayout,
                         ::testing::Values("ml-1m", "ml-100k", "ml-25m", "ml-zip", "amazon-2014", "amazon-2018",
                                           "amazon-2023", "amazon-2014-ratings", "amazon-2018-ratings",
                                           "amazon-2023-ratings", "yelp", "steam", "goodreads", "goodreads-csv",
                                           "google-local-2018", "lastfm-1k", "lastfm-2k", "mind", "kuairec", "kuairand",
                                           "recbole", "own-zst", "own-excel"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Layouts, have_distinct_names_and_say_what_they_look_for) {
  std::set<std::string> names;
  for (const Layout& layout : layouts()) {
    EXPECT_TRUE(names.insert(layout.name).second) << layout.name;
    EXPECT_FALSE(layout.files.empty());
  }
}

}  // namespace
}  // namespace cllm::testing
