#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "model/backbones/safetensors.h"
#include "model/backbones/weights.h"
#include "model/errors.h"

namespace cllm {
namespace {

using ::testing::Test;

class Safetensors : public Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("safetensors_test." + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  /// A file with this header text and so many bytes of data; `length` overrides the true header length.
  std::string file(const std::string& header, size_t data_bytes, std::optional<uint64_t> length = {}) {
    const std::string path = dir_ / "x.safetensors";
    const uint64_t header_bytes = length.value_or(header.size());
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&header_bytes), 8);
    out << header << std::string(data_bytes, '\1');
    return path;
  }
  /// The one-line message with which a file is refused.
  std::string refusal(const std::string& header, size_t data_bytes, std::optional<uint64_t> length = {}) {
    try {
      SafetensorsFile opened(file(header, data_bytes, length));
    } catch (const ModelError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "accepted";
  }
  std::filesystem::path dir_;
};

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

#define EXPECT_REFUSED(text, ...)                                \
  {                                                              \
    const std::string message = refusal(__VA_ARGS__);            \
    EXPECT_NE(message.find(text), std::string::npos) << message; \
  }

TEST_F(Safetensors, WhatIsWrittenIsReadBackAndTheBytesAreDeterministic) {
  const NamedTensors tensors{{"b", at::arange(6, at::kFloat).reshape({2, 3})},
                             {"a", at::ones({0, 4}, at::kBFloat16)},
                             {"z", at::arange(5, at::kLong)},
                             {"h", at::arange(3, at::kHalf)},
                             {"scalar", at::ones({}, at::kDouble)}};
  const NamedTensors reversed(tensors.rbegin(), tensors.rend());
  const std::string one = dir_ / "one.safetensors", two = dir_ / "two.safetensors";
  write_safetensors(one, tensors, {{"format", "pt"}});
  write_safetensors(two, reversed, {{"format", "pt"}});
  const SafetensorsFile file(one);
  EXPECT_EQ(file.names().size(), tensors.size());
  EXPECT_EQ(file.metadata().at("format"), "pt");
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(file.tensor(name).scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(file.tensor(name).equal(tensor)) << name;
  }
  std::ifstream a(one, std::ios::binary), b(two, std::ios::binary);
  EXPECT_TRUE(std::equal(std::istreambuf_iterator<char>(a), {}, std::istreambuf_iterator<char>(b), {}));
}

TEST_F(Safetensors, ATensorOutlivesItsFileObjectAndWritingToItDoesNotChangeTheFile) {
  const std::string path = dir_ / "x.safetensors";
  write_safetensors(path, {{"a", at::arange(4, at::kFloat)}});
  at::Tensor tensor = SafetensorsFile(path).tensor("a");
  tensor.add_(1);
  EXPECT_TRUE(tensor.equal(at::arange(1, 5, at::kFloat)));
  EXPECT_TRUE(SafetensorsFile(path).tensor("a").equal(at::arange(4, at::kFloat)));
}

TEST_F(Safetensors, MisalignedDataIsReadCorrectly) {
  std::string header = "{" + entry("a", "F32", "[2]", "[0,8]") + "}";
  if ((8 + header.size()) % 4 == 0) header += " ";
  const at::Tensor tensor = SafetensorsFile(file(header, 8)).tensor("a");
  float expected = 0;
  std::memset(&expected, 1, 4);
  EXPECT_EQ(tensor[1].item<float>(), expected);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 4, 0U);
}

/// Of this process, in KiB: pages of files that are mapped.
int64_t mapped_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssFile:")) return std::stoll(line.substr(8));
  return -1;
}

TEST_F(Safetensors, AFileAndWhatItsWeightsAreConvertedToAreNotBothInMemory) {
  constexpr int64_t kRows = 16384, kWidth = 1024;  // 64 MiB
  const at::Tensor written = at::arange(kRows, at::kFloat).div_(100).unsqueeze(1).expand({kRows, kWidth}).contiguous();
  write_safetensors(dir_ / "model.safetensors", {{"w", written}});
  const Weights weights = read_weights(dir_, "", false);
  const int64_t before = mapped_kib();
  ASSERT_GT(before, 0);
  const at::Tensor same = take_weight(weights, "w", {kRows, kWidth}, at::kFloat, dir_);
  EXPECT_GT(mapped_kib() - before, 60 << 10) << "read, and not converted";
  const at::Tensor converted = take_weight(weights, "w", {kRows, kWidth}, at::kBFloat16, dir_);
  EXPECT_LT(mapped_kib() - before, 8 << 10);
  EXPECT_TRUE(at::equal(converted, written.to(at::kBFloat16)));
  EXPECT_TRUE(at::equal(same, written)) << "pages come back from the file";
}

TEST_F(Safetensors, RefusesBrokenHeaders) {
  EXPECT_REFUSED("header length 18446744073709551615", "{}", 0, UINT64_MAX);
  EXPECT_REFUSED("header length 3", "{}", 0, 3);
  EXPECT_REFUSED("not valid JSON", "{\"a\":", 0);
  EXPECT_REFUSED("not a JSON object", "[]", 0);
  EXPECT_REFUSED("'a' occurs twice",
                 "{" + entry("a", "U8", "[1]", "[0,1]") + "," + entry("a", "U8", "[1]", "[1,2]") + "}", 2);
  EXPECT_REFUSED("__metadata__ 'k' is not a string", R"({"__metadata__":{"k":1}})", 0);
  EXPECT_THROW(SafetensorsFile(dir_ / "absent.safetensors"), ModelError);
  std::ofstream(dir_ / "short.safetensors") << "1234567";
  EXPECT_THROW(SafetensorsFile(dir_ / "short.safetensors"), ModelError);
}

TEST_F(Safetensors, RefusesBrokenEntries) {
  EXPECT_REFUSED("dtype F12", "{" + entry("a", "F12", "[1]", "[0,4]") + "}", 4);
  EXPECT_REFUSED("has no dtype", R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4);
  EXPECT_REFUSED("has no list 'shape'", R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4);
  EXPECT_REFUSED("'shape' holds -1", "{" + entry("a", "F32", "[-1]", "[0,4]") + "}", 4);
  EXPECT_REFUSED("bad data_offsets", "{" + entry("a", "F32", "[1]", "[4,0]") + "}", 4);
  EXPECT_REFUSED("need 8 bytes, data_offsets give 4", "{" + entry("a", "F32", "[2]", "[0,4]") + "}", 4);
  EXPECT_REFUSED("overflows", "{" + entry("a", "F32", "[4611686018427387904,4]", "[0,0]") + "}", 0);
}

TEST_F(Safetensors, RefusesOverlapGapsTruncationAndLeftoverBytes) {
  const std::string a = entry("a", "F32", "[2]", "[0,8]");
  EXPECT_REFUSED("tensor 'b' overlaps 'a'", "{" + a + "," + entry("b", "F32", "[2]", "[4,12]") + "}", 12);
  EXPECT_REFUSED("tensor 'b' leaves a gap after 'a'", "{" + a + "," + entry("b", "F32", "[1]", "[12,16]") + "}", 16);
  EXPECT_REFUSED("truncated", "{" + a + "}", 7);
  EXPECT_REFUSED("1 bytes follow the last tensor", "{" + a + "}", 9);
}

}  // namespace
}  // namespace cllm
