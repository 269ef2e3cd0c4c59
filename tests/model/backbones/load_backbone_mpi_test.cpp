#include <gtest/gtest.h>

#include <ATen/ops/empty.h>

#include <filesystem>

#include "model/backbones/gpt2/gpt2.h"
#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "support.h"
#include "tests/support/mpi_world.h"

namespace cllm {
namespace {

TEST(LoadBackboneOnAHost, EveryRankGetsTheSameBackbone) {
  const auto host = testing::session->host();
  const auto backbone = load_backbone(*host, testing::shared_dir() + "/backbones/gpt2-mini-8k", {});
  for (const auto& [name, parameter] : backbone->parameters()) {
    at::Tensor sum = parameter.sum(at::kDouble).reshape({1}), first = sum.clone();
    host->broadcast(first, 0);
    EXPECT_TRUE(sum.equal(first)) << name;
  }
}

TEST(LoadBackboneOnAHost, EveryRankThrowsTheSameErrorAndNoneWaits) {
  const auto host = testing::session->host();
  std::string message;
  try {
    load_backbone(*host, "/nowhere", {});
  } catch (const ModelError& error) {
    message = error.what();
  }
  EXPECT_NE(message.find("/nowhere/config.json: cannot open"), std::string::npos) << message;
  EXPECT_EQ(message, broadcast_string(*host, message, 0));
}

}  // namespace
}  // namespace cllm
