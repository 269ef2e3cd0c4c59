#include <gmock/gmock.h>

#include <ATen/ops/equal.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "model/backbones/config_json.h"
#include "model/backbones/gguf/blocks.h"
#include "model/backbones/gguf/gguf_model.h"
#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "tests/model/backbones/support.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// MODELS.md §33: byte i = (37 i + 11) mod 256, scales written at their places; values of ggml's own functions.
struct GoldenBlock {
  uint32_t type;
  int d, m;  // places of the scales in the block, -1: none
  double sum, squares;
  std::vector<std::pair<int, float>> values;
};
const GoldenBlock kGoldenBlocks[] = {
    {2, 0, -1, -1.3125, 2.51953125, {{0, -.1875f}, {1, .125f}, {16, -.1875f}, {31, 0}}},
    {3, 0, 2, 16.3125, 10.859375, {{0, .96875f}, {1, .28125f}, {16, .59375f}, {31, .78125f}}},
    {6, 0, -1, .9375, 10.26171875, {{0, .5625f}, {1, -.125f}, {16, .875f}, {31, .0625f}}},
    {7, 0, 2, 32.5625, 44.1328125, {{0, 1.21875f}, {1, 1.53125f}, {16, 1.21875f}, {31, .34375f}}},
    {8, 0, -1, -11, 743.1875, {{0, 5.3125f}, {1, 7.625f}, {16, -5.6875f}, {31, -3}}},
    {10,
     80,
     82,
     128.6875,
     212.796875,
     {{0, 2.0625f}, {1, 0}, {16, -.09375f}, {31, -.09375f}, {32, .46875f}, {100, 1.25f}, {255, .28125f}}},
    {11,
     108,
     -1,
     59.875,
     2221.5078125,
     {{0, 5.0625f}, {1, -6.75f}, {16, -6}, {31, 4}, {32, -1.375f}, {100, 0}, {255, 2.625f}}},
    {12,
     0,
     2,
     3402.5,
     94395.390625,
     {{0, 19.71875f}, {1, -1.59375f}, {16, 19.71875f}, {31, 10.03125f}, {32, .5f}, {100, 5.9375f}, {255, 3.03125f}}},
    {13,
     0,
     2,
     7263.5,
     401675.078125,
     {{0, 50.71875f}, {1, -1.59375f}, {16, 50.71875f}, {31, 10.03125f}, {32, 7}, {100, 14.6875f}, {255, 6.78125f}}},
    {14,
     208,
     -1,
     288.25,
     1851172.890625,
     {{0, -89.4375f}, {1, 106}, {16, -27}, {31, -6}, {32, 14.4375f}, {100, 157.6875f}, {255, -3.75f}}}};

TEST(GgmlBlocks, GoldenBlocksHaveTheValuesOfGgml) {
  for (const GoldenBlock& golden : kGoldenBlocks) {
    const GgmlType* type = ggml_type(golden.type);
    ASSERT_NE(type, nullptr);
    std::vector<uint8_t> block(static_cast<size_t>(type->bytes));
    for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<uint8_t>(37 * i + 11);
    const auto write_half = [&](int place, uint16_t bits) {
      if (place >= 0) std::memcpy(block.data() + place, &bits, 2);
    };
    write_half(golden.d, 0x2C00);  // 0.0625
    write_half(golden.m, 0x2800);  // 0.03125
    std::vector<float> values(static_cast<size_t>(type->values));
    type->unpack(block.data(), values.data());
    double sum = 0, squares = 0;
    for (const float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    EXPECT_EQ(sum, golden.sum) << type->name;
    EXPECT_EQ(squares, golden.squares) << type->name;
    for (const auto& [e, value] : golden.values) EXPECT_EQ(values[static_cast<size_t>(e)], value) << type->name << e;
  }
}

/// Writes GGUF files: keys as bytes, tensors in F32.
class GgufWriter {
 public:
  void text(const std::string& key, const std::string& value) { add(key, 8, sized(value)); }
  void count(const std::string& key, uint32_t value) { add(key, 4, raw(value)); }
  void number(const std::string& key, float value) { add(key, 6, raw(value)); }
  void tensor(const std::string& name, const at::Tensor& any) {
    const at::Tensor values = any.to(at::kFloat).contiguous();
    infos_ += sized(name) + raw(static_cast<uint32_t>(values.dim()));
    for (int64_t d = values.dim(); d > 0; --d) infos_ += raw(values.size(d - 1));
    infos_ += raw(uint32_t{0}) + raw(static_cast<uint64_t>(data_.size()));
    data_.append(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
    data_.resize((data_.size() + 31) / 32 * 32);
    ++num_tensors_;
  }
  std::string bytes() const {
    std::string out = "GGUF" + raw(uint32_t{3}) + raw(num_tensors_) + raw(num_keys_) + keys_ + infos_;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data_;
  }

 private:
  template <typename T>
  static std::string raw(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }
  static std::string sized(const std::string& text) { return raw(static_cast<uint64_t>(text.size())) + text; }
  void add(const std::string& key, uint32_t type, const std::string& value) {
    keys_ += sized(key) + raw(type) + value;
    ++num_keys_;
  }
  std::string keys_, infos_, data_;
  uint64_t num_tensors_ = 0, num_keys_ = 0;
};

/// As llama.cpp's conversion writes a golden model: conversion/llama.py and gemma.py.
std::string converted(const std::string& family, const std::string& dir) {
  const ConfigJson config(dir);
  const nlohmann::json& json = config.json();
  const std::string a = family == "gemma3" ? "gemma3" : family.starts_with("llama") ? "llama" : family;
  GgufWriter out;
  out.text("general.architecture", a);
  const auto count = [&](const std::string& key, const char* of) {
    out.count(a + "." + key, json[of].get<uint32_t>());
  };
  count("embedding_length", "hidden_size");
  count("block_count", "num_hidden_layers");
  count("attention.head_count", "num_attention_heads");
  count("attention.head_count_kv", "num_key_value_heads");
  count("feed_forward_length", "intermediate_size");
  count("context_length", "max_position_embeddings");
  if (json.contains("head_dim")) count("attention.key_length", "head_dim");
  out.number(a + ".attention.layer_norm_rms_epsilon", json["rms_norm_eps"].get<float>());
  if (json.contains("rope_theta")) out.number(a + ".rope.freq_base", json["rope_theta"].get<float>());
  const int64_t heads = json["num_attention_heads"], kv_heads = json["num_key_value_heads"];
  const std::pair<const char*, const char*> names[] = {
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"model.layers.", "blk."},
      {"input_layernorm", "attn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"self_attn.q_norm", "attn_q_norm"},
      {"self_attn.k_norm", "attn_k_norm"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
      {"post_attention_layernorm", a == "gemma3" ? "post_attention_norm" : "ffn_norm"},
      {"pre_feedforward_layernorm", "ffn_norm"},
      {"post_feedforward_layernorm", "post_ffw_norm"}};
  for (const auto& [plain, weight] : read_weights(dir, "model.", false)) {
    std::string name = weight.name;
    for (const auto& [from, to] : names)
      if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, std::strlen(from), to);
    at::Tensor tensor = weight.tensor;
    const bool is_q = name.find("attn_q.") != std::string::npos, is_k = name.find("attn_k.") != std::string::npos;
    if (a == "llama" && (is_q || is_k)) {
      const int64_t h = is_q ? heads : kv_heads;
      tensor = tensor.reshape({h, 2, tensor.size(0) / h / 2, -1}).transpose(1, 2).reshape(tensor.sizes());
    }
    if (a == "gemma3" && name.ends_with("norm.weight")) tensor = tensor.to(at::kFloat) + 1;
    out.tensor(name, tensor);
  }
  return out.bytes();
}

class GgufModel : public ::testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(dir_ / name, std::ios::binary) << bytes;
    return dir_ / name;
  }
  std::string error_of(const fs::path& file) const {
    try {
      load_backbone(file.string(), {});
    } catch (const ModelError& error) {
      return error.what();
    }
    return "loaded";
  }
  void TearDown() override { fs::remove_all(dir_); }
  const fs::path dir_ = [] {
    fs::path dir = fs::temp_directory_path() / ("cllm_gguf_" + std::to_string(getpid()));
    fs::create_directories(dir);
    return dir;
  }();
};

TEST_F(GgufModel, HasTheParametersOfItsSafetensors) {
  for (const std::string family : {"llama", "qwen2", "qwen3"}) {
    const std::string dir = testing::shared_dir() + "/golden/cllm4rec/arch/" + family;
    const auto expected = load_backbone(dir, {})->parameters();
    const auto found = load_backbone(write(family + ".gguf", converted(family, dir)).string(), {})->parameters();
    ASSERT_EQ(found.size(), expected.size()) << family;
    for (size_t n = 0; n < found.size(); ++n) {
      EXPECT_EQ(found[n].first, expected[n].first);
      EXPECT_TRUE(at::equal(found[n].second, expected[n].second)) << family << " " << found[n].first;
    }
  }
}

TEST_F(GgufModel, UnpacksOnlyTheRowsOfTheWordsThatAreHeld) {
  const std::string dir = testing::shared_dir() + "/golden/cllm4rec/arch/llama";
  const std::string file = write("llama.gguf", converted("llama", dir)).string();
  const std::vector<int32_t> words{7, 0, 60};
  const at::Tensor rows = at::tensor(words, at::kInt);
  for (const std::string& from : {file, dir}) {
    const auto all = load_backbone(from, {}), held = load_backbone(from, {.words = words});
    EXPECT_EQ(held->num_words(), 3);
    EXPECT_TRUE(at::equal(held->word_embedding(), all->word_embedding().index_select(0, rows)));
    EXPECT_TRUE(at::equal(held->text_head(), all->text_head().index_select(0, rows)));  // is not tied
    EXPECT_THROW(load_backbone(from, {.words = {0, 61}}), ModelError);
  }
}

TEST_F(GgufModel, GemmasNormsAreStoredWithoutTheirOne) {
  const std::string dir = testing::shared_dir() + "/golden/cllm4rec/arch/gemma3";
  const Weights expected = read_weights(dir, "model.", false);
  const Weights found = gguf_weights(write("gemma3.gguf", converted("gemma3", dir)).string());
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, weight] : expected) {
    const at::Tensor gap = (found.at(name).tensor - weight.tensor.to(at::kFloat)).abs().max();
    EXPECT_LT(gap.item<float>(), 1e-6) << name;
  }
}

TEST_F(GgufModel, DamageIsOneLineThatNamesTheFile) {
  const std::string dir = testing::shared_dir() + "/golden/cllm4rec/arch/llama";
  const std::string good = converted("llama", dir);
  EXPECT_EQ(error_of(write("good.gguf", good)), "loaded");
  for (size_t size = 0; size < good.size(); size += 1 + good.size() / 97) {
    const std::string error = error_of(write("cut.gguf", good.substr(0, size)));
    EXPECT_THAT(error, ::testing::HasSubstr("cut.gguf")) << size;
    EXPECT_EQ(error.find('\n'), std::string::npos);
  }
  std::string other = good;
  other.replace(0, 4, "GGUX");
  EXPECT_THAT(error_of(write("other.gguf", other)), ::testing::HasSubstr("does not begin with 'GGUF'"));
  std::string version = good;
  version[4] = 9;
  EXPECT_THAT(error_of(write("version.gguf", version)), ::testing::HasSubstr("has version 9"));
  std::string name = good;
  name.replace(name.find("blk.0.attn_q"), 12, "blk.0.attn_x");
  EXPECT_THAT(error_of(write("name.gguf", name)), ::testing::HasSubstr("'blk.0.attn_x.weight' is not known"));
}

}  // namespace
}  // namespace cllm
