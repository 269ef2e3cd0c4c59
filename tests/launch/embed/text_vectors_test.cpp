#include "launch/embed/text_vectors.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <gtest/gtest.h>

#include <fstream>

#include "data/errors.h"
#include "model/backbones/load_backbone.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"
#include "tests/data/sampling/small_corpus.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace text_vectors_tests {

const Corpus& corpus() {
  static const testing::SmallCorpus small;
  return small.corpus();
}

const Backbone& backbone() {
  static const auto loaded = load_backbone(testing::shared("backbones/gpt2-mini-8k").string(), {});
  return *loaded;
}

TextVectorsOfCorpus embed(const EmbedOptions& options, int ranks = 1) {
  TextVectorsOfCorpus out;
  corpus(), backbone();
  testing::run_ranks(ranks, [&](Communicator& comm) {
    auto vectors = embed_texts(corpus(), testing::SmallCorpus::tokenizer(), backbone(), options, comm);
    if (comm.rank() == 0) out = std::move(vectors);
  });
  return out;
}

/// States of a text alone, [t, D].
at::Tensor states_of(int64_t text, int64_t layer) {
  const auto tokens = testing::SmallCorpus::tokenizer().encode(corpus().raw_text(text), {.around = true});
  const at::Tensor x_TD = backbone().word_embedding().index_select(0, at::tensor(tokens, at::kInt));
  return layer == 0 ? x_TD : backbone().states_after(layer, x_TD, make_layout({std::ssize(tokens)}, at::kCPU));
}

/// Every item of this corpus has one text.
int64_t text_of_item(const std::string& raw) {
  for (int64_t n = 0; n < corpus().num_texts(); ++n) {
    const TextSample text = corpus().text(n);
    if (text.user < 0 && corpus().item_raw_id(text.item) == raw) return n;
  }
  throw std::runtime_error("no text of item " + raw);
}

TEST(TextVectors, AreMeansOrLastStatesOfTheTextsInTheOrderOfTheInput) {
  for (const int64_t layer : {0, 1, 4}) {
    for (const Pool pool : {Pool::kMean, Pool::kLast}) {
      const IdVectors items = embed({.layer = layer, .pool = pool}).items;
      ASSERT_EQ(items.raw_ids.size(), static_cast<size_t>(testing::kSmallItems));
      for (size_t n = 0; n < items.raw_ids.size(); ++n) {
        EXPECT_EQ(items.raw_ids[n], std::to_string(n));
        const at::Tensor states = states_of(text_of_item(items.raw_ids[n]), layer);
        const at::Tensor want = pool == Pool::kMean ? states.mean(0) : states[states.size(0) - 1];
        EXPECT_LT((items.vectors_nD[static_cast<int64_t>(n)] - want).abs().max().item<float>(), 2e-5);
      }
    }
  }
}

TEST(TextVectors, AnyNumberOfRanksGivesTheSameBits) {
  const TextVectorsOfCorpus one = embed({}), three = embed({}, 3);
  EXPECT_EQ(one.users.raw_ids.size(), static_cast<size_t>(testing::kSmallUsers));
  EXPECT_EQ(one.users.raw_ids, three.users.raw_ids);
  EXPECT_TRUE(at::equal(one.users.vectors_nD, three.users.vectors_nD));
  EXPECT_TRUE(at::equal(one.items.vectors_nD, three.items.vectors_nD));
}

TEST(TextVectors, LongTextsAreCutAndCounted) {
  EXPECT_EQ(embed({}).num_cut, 0);
  const TextVectorsOfCorpus cut = embed({.layer = 0, .pool = Pool::kMean, .max_tokens = 1});
  EXPECT_EQ(cut.num_cut, cut.num_texts);
  EXPECT_TRUE(at::equal(cut.items.vectors_nD[0], states_of(text_of_item("0"), 0)[0]));
}

TEST(TextVectors, ALayerThatIsNotThereIsRefused) {
  try {
    embed({.layer = 5});
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_NE(std::string(error.what()).find("--layer 5: the backbone has 4"), std::string::npos) << error.what();
  }
}

TEST(TextVectors, FilesHaveAVectorPerIdAndAnIdPerLine) {
  const testing::TemporaryFolder folder;
  const IdVectors items{{"a", "b c"}, at::tensor({1.0F, 2.0F, 3.0F, 4.0F}).view({2, 2})};
  write_vectors(folder.path() / "v.safetensors", items);
  EXPECT_TRUE(
      at::equal(SafetensorsFile((folder.path() / "v.safetensors").string()).tensor("vectors"), items.vectors_nD));
  std::ifstream ids(folder.path() / "v.ids.txt");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(ids), {}), "a\nb c\n");
  EXPECT_THROW(write_vectors(folder.path() / "w.safetensors", {{"a\nb"}, items.vectors_nD}), DataError);
}

}  // namespace text_vectors_tests
}  // namespace cllm
