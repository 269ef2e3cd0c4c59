#include "model/recommenders/cllm4rec/text/vector_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <functional>

#include "data/errors.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

namespace vector_files {

using ::testing::HasSubstr;

/// The line of the error.
std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const DataError& error) {
    return error.what();
  } catch (const ModelError& error) {
    return error.what();
  }
  return "";
}

TEST(VectorFile, RowsGoToTheItemsOfTheirRawIdsAndOthersAreLeftOut) {
  const Corpus& corpus = testing::training_corpus();
  const testing::TemporaryFolder folder;
  const at::Tensor vectors = testing::normal({3, 2}, 1);
  const auto path = folder.path() / "some.safetensors";
  write_safetensors(path.string(), {{"vectors", vectors.to(at::kFloat)}});
  folder.write("some.ids.txt", "7\nnot an item\n12\n");
  const at::Tensor rows = vectors_of_file(corpus, path);
  const int64_t first = corpus.vocabulary().num_users;
  EXPECT_LT(testing::gap(rows[first + *corpus.find_item("7")], vectors[0]), 1e-6);
  EXPECT_LT(testing::gap(rows[first + *corpus.find_item("12")], vectors[2]), 1e-6);
  EXPECT_EQ((rows.abs().sum(1) > 0).sum().item<int64_t>(), 2);
}

TEST(VectorFile, ADefectIsOneLineThatNamesTheFile) {
  const Corpus& corpus = testing::training_corpus();
  const testing::TemporaryFolder folder;
  const auto path = folder.path() / "some.safetensors";
  const auto message = [&] { return message_of([&] { vectors_of_file(corpus, path); }); };
  EXPECT_THAT(message_of([&] { vectors_of_file(corpus, "tfidf"); }), HasSubstr("no such source"));
  EXPECT_THAT(message(), HasSubstr("some.safetensors\": no such file"));
  write_safetensors(path.string(), {{"vectors", testing::normal({2, 2}, 1)}});
  EXPECT_THAT(message(), HasSubstr("some.ids.txt is missing"));
  folder.write("some.ids.txt", "7\n");
  EXPECT_THAT(message(), HasSubstr("each of the 1 lines"));
  folder.write("some.ids.txt", "7\n7\n");
  EXPECT_THAT(message(), HasSubstr("some.ids.txt:2: item 7 is there twice"));
  folder.write("some.ids.txt", "a\nb\n");
  EXPECT_THAT(message(), HasSubstr("none of its ids"));
  folder.write("some.ids.txt", "7\n8\n");
  write_safetensors(path.string(), {{"vectors", at::zeros({2, 2}, at::kDouble) / 0}});
  EXPECT_THAT(message(), HasSubstr("not finite"));
  write_safetensors(path.string(), {{"other", testing::normal({2, 2}, 1)}});
  EXPECT_THAT(message(), HasSubstr("vectors"));
}

}  // namespace vector_files
}  // namespace
}  // namespace cllm
