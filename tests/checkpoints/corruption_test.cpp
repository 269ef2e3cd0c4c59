// Whatever is changed in a committed checkpoint, it is refused with a message that names the file, and the step before
// it is used.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "checkpoints/directory.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using std::filesystem::path;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string read(const path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

void write(const path& file, const std::string& bytes) { std::ofstream(file, std::ios::binary) << bytes; }

/// Steps 10 and 20, saved by two ranks.
class Corruption : public ::testing::Test {
 protected:
  Corruption() {
    for (const int64_t step : {10, 20}) {
      run_ranks(2, [&](Communicator& comm) { save(comm, folder.path(), step, make_state(step, comm.rank(), 2)); });
    }
  }

  path dir(int64_t step) const { return folder.path() / step_name(step); }

  /// What two ranks find, and why step 20 was refused ("" if it was not). What is found must load rightly.
  std::pair<int64_t, std::string> find() {
    std::pair<int64_t, std::string> found;
    run_ranks(2, [&](Communicator& comm) {
      std::vector<Refusal> refused;
      const std::optional<CheckpointInfo> latest = find_latest(comm, folder.path(), &refused);
      expect_loads(comm, *latest);
      if (comm.rank() == 0) found = {latest->step, refused.empty() ? "" : refused[0].reason};
    });
    return found;
  }

  /// Rewrites manifest.json with a valid checksum, as somebody with bad intentions would.
  void forge(const std::function<void(nlohmann::json&)>& change) {
    nlohmann::json manifest = nlohmann::json::parse(read(dir(20) / "manifest.json"));
    manifest.erase("checksum");
    change(manifest);
    const std::string text = manifest.dump();
    char sum[17];
    std::snprintf(sum, sizeof(sum), "%016llx", static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
    manifest["checksum"] = sum;
    write(dir(20) / "manifest.json", manifest.dump(1) + "\n");
  }

  void expect_fallback(const ::testing::Matcher<std::string>& reason) {
    const auto [step, why] = find();
    EXPECT_EQ(step, 10);
    EXPECT_THAT(why, reason);
  }

  ScratchFolder folder{"corruption"};
  const std::string shard0 = "shard-00000-of-00002.h5", shard1 = "shard-00001-of-00002.h5";
};

TEST_F(Corruption, AnUntouchedCheckpointIsUsed) { EXPECT_EQ(find(), (std::pair<int64_t, std::string>{20, ""})); }

TEST_F(Corruption, AnyFlippedBitOfAShardIsSeen) {
  std::mt19937 random(1);
  for (const std::string& name : {shard0, shard1}) {
    const std::string good = read(dir(20) / name);
    for (int n = 0; n < 40; ++n) {
      std::string bad = good;
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
      write(dir(20) / name, bad);
      expect_fallback(AllOf(HasSubstr(name), HasSubstr("expected checksum"), HasSubstr("found")));
    }
    write(dir(20) / name, good);
  }
}

TEST_F(Corruption, AnyFlippedBitOfTheManifestIsSeen) {
  std::mt19937 random(2);
  const std::string good = read(dir(20) / "manifest.json");
  for (int n = 0; n < 100; ++n) {
    std::string bad = good;
    bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    write(dir(20) / "manifest.json", bad);
    expect_fallback(HasSubstr("manifest.json"));
  }
}

TEST_F(Corruption, TruncatedFilesAreRefused) {
  for (const std::string& name : {shard0, shard1, std::string("manifest.json")}) {
    const std::string good = read(dir(20) / name);
    for (const size_t size : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
      write(dir(20) / name, good.substr(0, size));
      expect_fallback(HasSubstr(name));
    }
    write(dir(20) / name, good);
  }
}

TEST_F(Corruption, ALongerShardIsRefused) {
  const std::string good = read(dir(20) / shard1);
  write(dir(20) / shard1, good + "x");
  expect_fallback(HasSubstr(shard1 + ": expected " + std::to_string(good.size()) + " bytes, found " +
                            std::to_string(good.size() + 1)));
}

TEST_F(Corruption, AMissingShardIsRefused) {
  std::filesystem::remove(dir(20) / shard1);
  expect_fallback(AllOf(HasSubstr(shard1), HasSubstr("No such file")));
}

TEST_F(Corruption, AnExtraShardIsRefused) {
  write(dir(20) / "shard-00002-of-00003.h5", read(dir(20) / shard1));
  expect_fallback(HasSubstr("shard-00002-of-00003.h5: expected no such file"));
}

TEST_F(Corruption, SwappedShardsAreRefused) {
  std::filesystem::rename(dir(20) / shard0, dir(20) / "x");
  std::filesystem::rename(dir(20) / shard1, dir(20) / shard0);
  std::filesystem::rename(dir(20) / "x", dir(20) / shard1);
  expect_fallback(HasSubstr(shard0));
}

TEST_F(Corruption, AShardOfAnotherStepIsRefused) {
  write(dir(20) / shard1, read(dir(10) / shard1));
  expect_fallback(HasSubstr(shard1));
}

TEST_F(Corruption, ABlockOfZeroesIsRefused) {
  std::string bytes = read(dir(20) / shard0);
  const std::string good = bytes;
  for (size_t begin = 0; begin + 512 <= bytes.size(); begin += 4096) {
    bytes = good;
    bytes.replace(begin, 512, 512, '\0');
    if (bytes == good) continue;  // padding
    write(dir(20) / shard0, bytes);
    expect_fallback(HasSubstr(shard0 + ": bytes from 0: expected checksum"));
  }
}

TEST_F(Corruption, AMissingManifestIsRefused) {
  std::filesystem::remove(dir(20) / "manifest.json");
  expect_fallback(HasSubstr("manifest.json"));
}

TEST_F(Corruption, AFolderOfAnotherStepIsRefused) {
  std::filesystem::rename(dir(20), dir(21));
  expect_fallback(HasSubstr("expected the step of its folder, found 20"));
}

TEST_F(Corruption, AnEditedManifestIsRefused) {
  std::string text = read(dir(20) / "manifest.json");
  text.replace(text.find("\"mutual\""), 8, "\"warmup\"");
  write(dir(20) / "manifest.json", text);
  expect_fallback(AllOf(HasSubstr("manifest.json: expected checksum"), HasSubstr("the file was changed")));
}

TEST_F(Corruption, ForgedManifestsAreRefusedBeforeAnythingIsAllocated) {
  const std::string good = read(dir(20) / "manifest.json");
  const std::pair<std::function<void(nlohmann::json&)>, std::string> cases[] = {
      {[](auto& m) { m["version"] = 3; }, "format version 3, this program reads 1 to 2"},
      {[](auto& m) { m["format"] = "other"; }, "not a cllm4rec checkpoint"},
      {[](auto& m) {
         m["tensors"][0]["shape"] = {int64_t{1} << 62, int64_t{1} << 62};
       },
       "out of range"},
      {[](auto& m) { m["tensors"][0]["shape"][0] = -1; }, "out of range"},
      {[](auto& m) { m["tensors"][0]["shape"][0] = 24; }, "has 24 rows, its parts cover 23"},
      {[](auto& m) { m["tensors"][0]["shape"][1] = 1 << 30; }, "lies outside its shard"},
      {[](auto& m) { m["tensors"][0]["shape"] = nlohmann::json::array(); }, "no dimension"},
      {[](auto& m) { m["tensors"][0]["shape"] = "many"; }, "manifest.json"},
      {[](auto& m) { m["tensors"][0]["dtype"] = "complex"; }, "unknown dtype"},
      {[](auto& m) { m["tensors"][0]["parts"][0]["rows"] = int64_t{1} << 61; }, "must cover its 23 rows once"},
      {[](auto& m) { m["tensors"][0]["parts"][1]["first_row"] = 0; }, "must cover its 23 rows once"},
      {[](auto& m) { m["tensors"][0]["parts"][1]["shard"] = 7; }, "names a shard that is not listed"},
      {[](auto& m) { m["tensors"][0]["parts"][0]["offset"] = int64_t{1} << 62; }, "lies outside its shard"},
      {[](auto& m) { m["tensors"].push_back(m["tensors"][0]); }, "listed twice"},
      {[](auto& m) { m["shards"][0]["file"] = "../../etc/passwd"; }, "bad shard entry"},
      {[](auto& m) { m["shards"][0]["xxh3"] = ""; }, "number of checksums"},
      {[](auto& m) { m["shards"][0]["xxh3"] = "zz"; }, "bad checksum text"},
      {[](auto& m) { m["shards"][0]["bytes"] = int64_t{1} << 62; }, "number of checksums"},
      {[](auto& m) { m["block_bytes"] = 1; }, "block_bytes"},
      {[](auto& m) { m.erase("tensors"); }, "tensors"},
  };
  for (const auto& [change, reason] : cases) {
    write(dir(20) / "manifest.json", good);
    forge(change);
    expect_fallback(HasSubstr(reason));
  }
}

TEST_F(Corruption, NothingUsableIsAnErrorAndNeverAFreshStart) {
  for (const int64_t step : {10, 20}) std::filesystem::remove(dir(step) / shard0);
  run_ranks(2, [&](Communicator& comm) {
    try {
      find_latest(comm, folder.path(), nullptr);
      ADD_FAILURE() << "not refused";
    } catch (const CheckpointError& error) {
      EXPECT_EQ(error.exit_code(), CheckpointError::kUnusable);
      EXPECT_THAT(error.what(),
                  AllOf(HasSubstr("none can be used"), HasSubstr(step_name(10)), HasSubstr(step_name(20))));
    }
  });
}

TEST_F(Corruption, ADamagedStepIsReplacedWhenTheRunReachesItAgain) {
  std::filesystem::resize_file(dir(20) / shard0, 100);
  EXPECT_EQ(find().first, 10);
  run_ranks(2, [&](Communicator& comm) { save(comm, folder.path(), 20, make_state(20, comm.rank(), 2)); });
  EXPECT_EQ(find().first, 20);
}

TEST_F(Corruption, QuickVerificationLeavesTheBlocksToLoadWhichRefusesThem) {
  std::string bytes = read(dir(20) / shard0);
  bytes[bytes.size() / 2] ^= 1;
  write(dir(20) / shard0, bytes);
  run_ranks(2, [&](Communicator& comm) {
    const CheckpointInfo latest = *find_latest(comm, folder.path(), nullptr, VerifyLevel::kQuick);
    EXPECT_EQ(latest.step, 20);
    TrainState into = make_state(20, comm.rank(), 2);
    EXPECT_THROW(load(comm, latest, into), CheckpointError);
  });
  std::filesystem::resize_file(dir(20) / shard0, 100);  // sizes are checked
  run_ranks(2, [&](Communicator& comm) {
    EXPECT_EQ(find_latest(comm, folder.path(), nullptr, VerifyLevel::kQuick)->step, 10);
  });
}

TEST_F(Corruption, AByteChangedAfterVerificationIsStillNotLoaded) {
  run_ranks(2, [&](Communicator& comm) {
    const CheckpointInfo latest = *find_latest(comm, folder.path(), nullptr);
    comm.barrier();
    if (comm.rank() == 0) {
      std::string bytes = read(dir(20) / shard0);
      bytes[bytes.size() / 2] ^= 1;
      write(dir(20) / shard0, bytes);
    }
    comm.barrier();
    TrainState into = make_state(20, comm.rank(), 2);
    EXPECT_THROW(load(comm, latest, into), CheckpointError);
  });
}

}  // namespace
}  // namespace cllm::testing
