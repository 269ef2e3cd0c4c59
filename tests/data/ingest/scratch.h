#pragma once

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "data/errors.h"
#include "data/ingest/prepare.h"

namespace cllm::testing {

/// A folder of its own for one test, removed at the end.
class Scratch {
 public:
  Scratch() {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(info->test_suite_name()) + "-" + info->name() + "-" + std::to_string(::getpid());
    for (char& c : name) c = c == '/' ? '_' : c;
    path_ = std::filesystem::temp_directory_path() / name;
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_ / "in");
  }
  Scratch(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path in() const { return path_ / "in"; }

  /// An input file; one whose name ends in .gz is compressed.
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    const auto file = in() / name;
    if (file.extension() == ".gz") {
      const gzFile out = gzopen(file.c_str(), "wb");
      gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
      gzclose(out);
    } else {
      std::ofstream(file, std::ios::binary) << text;
    }
    return file;
  }

  /// Options that read in() and write the corpus "out", with a byte tokenizer trained on the texts.
  PrepareOptions options() const {
    PrepareOptions options;
    options.input = in();
    options.output = path_ / "out";
    options.train_tokenizer = 257;
    options.threads = 1;
    options.memory_bytes = uint64_t{64} << 20;
    options.shard_bytes = uint64_t{1} << 20;
    return options;
  }

 private:
  std::filesystem::path path_;
};

/// The message of the DataError that the call throws; a test failure if it throws none.
template <typename Call>
std::string error_of(Call call) {
  try {
    call();
  } catch (const DataError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no DataError was thrown";
  return "";
}

/// All interactions of a part as "user item", by raw ids.
inline std::set<std::string> pairs_of(const Corpus& corpus, Part part) {
  std::set<std::string> pairs;
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
    for (const int32_t item : corpus.items(user, part)) {
      pairs.insert(std::string(corpus.user_raw_id(user)) + " " + std::string(corpus.item_raw_id(item)));
    }
  }
  return pairs;
}

inline std::set<std::string> all_pairs(const Corpus& corpus) {
  std::set<std::string> pairs;
  for (int part = 0; part < kNumParts; ++part) pairs.merge(pairs_of(corpus, static_cast<Part>(part)));
  return pairs;
}

/// All texts as "kind user item length", by raw ids; "-" where none is named. With the byte tokenizer the length is in
/// bytes, if few pairs of bytes are merged (size 257: none).
inline std::multiset<std::string> texts_of(const Corpus& corpus) {
  std::multiset<std::string> texts;
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    texts.insert(corpus.text_kinds()[static_cast<size_t>(text.kind)] + " " +
                 (text.user < 0 ? "-" : std::string(corpus.user_raw_id(text.user))) + " " +
                 (text.item < 0 ? "-" : std::string(corpus.item_raw_id(text.item))) + " " +
                 std::to_string(text.tokens.size()));
  }
  return texts;
}

}  // namespace cllm::testing
