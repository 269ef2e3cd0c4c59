// What a run says of its memory before it starts, beside what it took.

#include <gtest/gtest.h>

#include <regex>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;

struct MemoryCase {
  const char* model;
  const char* options;
  int ranks;
};

class MemoryOfARun : public ::testing::TestWithParam<MemoryCase> {
 protected:
  /// ml_latest_small_5core, as it is shared.
  static const fs::path& corpus() {
    static const fs::path made = [] {
      const char* shared = std::getenv("CLLM_SHARED");
      const fs::path data =
          fs::path(shared != nullptr ? shared : CLLM_SOURCE_DIR "/../shared") / "data/ml_latest_small_5core";
      const fs::path out = small_world().root / "movies";
      const Finished prepared =
          run(cllm4rec(1, "prepare --input " + data.string() + " --output " + out.string() + " --split " +
                              (data / "splits/random_80_10_10.tsv").string() + " --train-tokenizer 512"));
      EXPECT_EQ(prepared.code, 0) << prepared.output;
      return out;
    }();
    return made;
  }
};

TEST_P(MemoryOfARun, IsWithinTenPercentOfWhatTheStartSaid) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "a sanitizer's own memory is not predicted";
#endif
  const MemoryCase& with = GetParam();
  const fs::path dir = fresh_dir("memory_" + std::string(with.model) + std::to_string(with.ranks));
  const Finished done =
      run(cllm4rec(with.ranks, "train --model.name=" + std::string(with.model) + " " + with.options +
                                   " --run.dir=" + dir.string() + " --run.corpus=" + corpus().string()));
  ASSERT_EQ(done.code, 0) << done.output;
  std::smatch found;
  ASSERT_TRUE(std::regex_search(done.output, found, std::regex("peak [0-9]+ MiB per rank, ([0-9.]+) of the predicted")))
      << done.output;
  const double ratio = std::stod(found[1]);
  EXPECT_GE(ratio, 0.9) << found[0];
  EXPECT_LE(ratio, 1.1) << found[0];
}

constexpr char kVae[] = "--multi_vae.epochs=3", kSasrec[] = "--sasrec.epochs=2", kIals[] = "--ials.epochs=2",
               kEase[] = "";
INSTANTIATE_TEST_SUITE_P(Models, MemoryOfARun,
                         ::testing::Values(MemoryCase{"multi_vae", kVae, 1}, MemoryCase{"multi_vae", kVae, 2},
                                           MemoryCase{"sasrec", kSasrec, 1}, MemoryCase{"sasrec", kSasrec, 2},
                                           MemoryCase{"ials", kIals, 1}, MemoryCase{"ials", kIals, 2},
                                           MemoryCase{"ease", kEase, 1}, MemoryCase{"ease", kEase, 2}),
                         [](const auto& one) {
                           return std::string(one.param.model) + "_on_" + std::to_string(one.param.ranks);
                         });

}  // namespace
}  // namespace cllm::testing
