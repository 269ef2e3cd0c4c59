#include "model/backbones/gguf/shared_weights.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>

#include "model/errors.h"
#include "tests/support/mpi_world.h"

namespace cllm {
namespace shared_weights_tests {

Weights two_tensors() {
  Weights out;
  out["a"] = {at::arange(15, at::kFloat).view({3, 5}), "file.gguf", "blk.a"};
  out["b"] = {at::full({7}, 2.5, at::kBFloat16), "file.gguf", "blk.b"};
  return out;
}

TEST(SharedWeights, AreReadOnceAndAreThoseOfTheFirstRankEverywhere) {
  const auto host = testing::session->host();
  int reads = 0;
  const Weights here = shared_weights(*host, [&] {
    ++reads;
    return two_tensors();
  });
  EXPECT_EQ(reads, host->rank() == 0 ? 1 : 0);
  for (const auto& [name, weight] : two_tensors()) {
    EXPECT_EQ(here.at(name).file, weight.file);
    EXPECT_EQ(here.at(name).name, weight.name);
    EXPECT_EQ(here.at(name).tensor.scalar_type(), weight.tensor.scalar_type());
    EXPECT_TRUE(at::equal(here.at(name).tensor, weight.tensor)) << name;
  }
}

TEST(SharedWeights, WritingToThemChangesNobodyElses) {
  const auto host = testing::session->host();
  const Weights here = shared_weights(*host, two_tensors);
  host->barrier();
  here.at("a").tensor.mul_(host->rank() + 2);
  host->barrier();
  EXPECT_TRUE(at::equal(here.at("a").tensor, two_tensors().at("a").tensor * (host->rank() + 2)));
}

TEST(SharedWeights, AnErrorOfTheFirstRankIsEveryRanks) {
  const auto host = testing::session->host();
  try {
    shared_weights(*host, []() -> Weights { throw ModelError("file.gguf: truncated"); });
    ADD_FAILURE();
  } catch (const ModelError& error) {
    EXPECT_STREQ(error.what(), "file.gguf: truncated");
  }
}

}  // namespace shared_weights_tests
}  // namespace cllm
