#include "model/backbones/load_backbone.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <tuple>

#include "model/backbones/gpt2/gpt2.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"
#include "support.h"

namespace cllm {
namespace {

Gpt2Config tiny() {
  Gpt2Config config;
  config.num_layers = 2;
  config.num_heads = 2;
  config.width = 8;
  config.max_positions = 16;
  config.num_words = 5;
  return config;
}

class LoadBackbone : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("load_backbone_test." + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
    save_backbone(dir_, *model_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  NamedTensors tensors(const std::string& prefix = "") const {
    NamedTensors out;
    for (const auto& [name, tensor] : model_->parameters()) out.emplace_back(prefix + name, tensor);
    return out;
  }
  void write(const NamedTensors& tensors) const { write_safetensors(dir_ / "model.safetensors", tensors); }
  void edit_config(const std::string& key, const nlohmann::json& value) const {
    nlohmann::json json = nlohmann::json::parse(gpt2_config_json(tiny()));
    json[key] = value;
    if (value.is_null()) json.erase(key);
    std::ofstream(dir_ / "config.json") << json;
  }
  std::string refusal() const {
    try {
      load_backbone(dir_, {});
    } catch (const ModelError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "accepted";
  }
  void expect_refused(const std::string& text) const {
    const std::string message = refusal();
    EXPECT_NE(message.find(text), std::string::npos) << message;
  }
  void expect_equal(double tolerance = 0) const {
    const auto loaded = load_backbone(dir_, {})->parameters();
    const auto expected = model_->parameters();
    ASSERT_EQ(loaded.size(), expected.size());
    for (size_t n = 0; n < loaded.size(); ++n) {
      EXPECT_EQ(loaded[n].first, expected[n].first);
      EXPECT_EQ(loaded[n].second.scalar_type(), at::kFloat);
      EXPECT_LE(testing::relative_gap(loaded[n].second, expected[n].second), tolerance) << loaded[n].first;
    }
  }

  std::filesystem::path dir_;
  std::shared_ptr<Gpt2> model_ = make_gpt2(tiny(), 1);
};

TEST_F(LoadBackbone, WhatIsSavedIsLoadedBack) { expect_equal(); }

TEST_F(LoadBackbone, NamesMayComeWithoutPrefixAndWithTheBuffersOfPublishedFiles) {
  NamedTensors all = tensors();
  all.emplace_back("h.0.attn.bias", at::zeros({1, 1, 16, 16}));
  all.emplace_back("h.1.attn.masked_bias", at::zeros({}));
  all.emplace_back("lm_head.weight", model_->word_embedding());
  write(all);
  expect_equal();
}

TEST_F(LoadBackbone, NamesMayCarryWhatTrainingFrameworksWrapAroundModules) {
  for (const char* prefix :
       {"_orig_mod.", "module.", "module._orig_mod.transformer.", "_orig_mod.module.transformer.", "model.transformer.",
        "_fsdp_wrapped_module.transformer._fsdp_wrapped_module.", "transformer._checkpoint_wrapped_module."}) {
    write(tensors(prefix));
    expect_equal();
  }
  NamedTensors all = tensors("module.transformer.");
  all.emplace_back("ln_f.bias", at::zeros({8}));
  write(all);
  expect_refused("'module.transformer.ln_f.bias' is also 'ln_f.bias'");
}

TEST_F(LoadBackbone, OfAPaddedWordTableTheRowsOfTheTokenizerAreKept) {
  const BackboneOptions three{.num_words = 3};
  NamedTensors all = tensors("transformer.");
  all.emplace_back("lm_head.weight", model_->word_embedding());
  write(all);
  const auto cut = load_backbone(dir_, three);
  EXPECT_EQ(cut->num_words(), 3);
  EXPECT_TRUE(at::equal(cut->word_embedding(), model_->word_embedding().narrow(0, 0, 3)));
  edit_config("vocab_size", 7);  // the table was resized, the file was not, or the other way round
  EXPECT_EQ(load_backbone(dir_, three)->num_words(), 3);
  EXPECT_EQ(random_backbone(dir_, 1, three)->num_words(), 3);
  cut->save(dir_, {at::full({2, 8}, 2.0, at::kFloat)});
  EXPECT_EQ(load_backbone(dir_, {})->num_words(), 5);
}

TEST_F(LoadBackbone, RefusesWeightsThatAreNoNumbersButNotInRowsOfPadding) {
  NamedTensors all = tensors();
  at::Tensor words = all[0].second.clone();
  ASSERT_EQ(all[0].first, "wte.weight");
  words.select(0, 4).fill_(std::nan(""));
  all[0].second = words;
  write(all);
  expect_refused("tensor 'wte.weight' holds 8 of 40 values that are NaN or infinite, the first at 32: a damaged file");
  EXPECT_EQ(load_backbone(dir_, {.num_words = 4})->num_words(), 4);
  all = tensors();
  all[3].second = at::full_like(all[3].second, 3e38);  // their sum is infinite, they are not
  write(all);
  EXPECT_EQ(load_backbone(dir_, {})->num_words(), 5);
}

TEST_F(LoadBackbone, NamesTheWeightsOfOtherFormatsAndTheCommandThatConvertsThem) {
  std::filesystem::remove(dir_ / "model.safetensors");
  for (const auto& [name, advice] : std::initializer_list<std::pair<const char*, const char*>>{
           {"pytorch_model.bin", "safe_serialization=True"},
           {"pytorch_model-00001-of-00002.bin", "safe_serialization=True"},
           {"adapter_model.safetensors", "merge_and_unload"},
           {"model-00001-of-00002.safetensors", "copy model.safetensors.index.json"},
           {"weights.safetensors", "rename it to model.safetensors"},
           {"model.Q4_K_M.gguf", "gguf_file='model.Q4_K_M.gguf'"},
           {"tf_model.h5", "from_tf=True"},
           {"flax_model.msgpack", "from_flax=True"},
           {"last.ckpt", "torch.load('"}}) {
    std::ofstream(dir_ / name) << "x";
    expect_refused(std::string("model.safetensors: not there, but ") + name + " is: ");
    expect_refused(advice);
    std::filesystem::remove(dir_ / name);
  }
}

TEST_F(LoadBackbone, SaysWhatAFileInThePlaceOfWeightsIs) {
  for (const auto& [bytes, meaning] : std::initializer_list<std::pair<const char*, const char*>>{
           {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git lfs pull"},
           {"<!DOCTYPE html><html></html>", "a web page"},
           {"PK\x03\x04 and more of it", "torch.save"},
           {"GGUF\x03 and more of it", "gguf_file"}}) {
    std::ofstream(dir_ / "model.safetensors", std::ios::binary) << bytes;
    expect_refused(meaning);
  }
}

TEST_F(LoadBackbone, HalfPrecisionFilesAreWidened) {
  for (const auto& [dtype, tolerance] :
       {std::pair(at::kHalf, 1e-3), std::pair(at::kBFloat16, 1e-2), std::pair(at::kDouble, 0.0)}) {
    NamedTensors all = tensors();
    for (auto& [name, tensor] : all) tensor = tensor.to(dtype);
    write(all);
    expect_equal(tolerance);
  }
}

TEST_F(LoadBackbone, ShardsAreJoinedByTheirIndex) {
  const NamedTensors all = tensors("transformer.");
  nlohmann::json index;
  for (size_t n = 0; n < all.size(); ++n)
    index["weight_map"][all[n].first] = n % 2 == 0 ? "a.safetensors" : "b.safetensors";
  for (const size_t part : {0, 1}) {
    NamedTensors shard;
    for (size_t n = part; n < all.size(); n += 2) shard.push_back(all[n]);
    write_safetensors(dir_ / (part == 0 ? "a.safetensors" : "b.safetensors"), shard);
  }
  std::filesystem::remove(dir_ / "model.safetensors");
  std::ofstream(dir_ / "model.safetensors.index.json") << index;
  expect_equal();

  index["weight_map"]["transformer.wte.weight"] = "b.safetensors";
  std::ofstream(dir_ / "model.safetensors.index.json") << index;
  expect_refused("not listed for this shard");
  index["weight_map"]["transformer.wte.weight"] = "a.safetensors";
  index["weight_map"]["more"] = "b.safetensors";
  std::ofstream(dir_ / "model.safetensors.index.json") << index;
  expect_refused("tensor 'more' is missing");
}

TEST_F(LoadBackbone, RefusesMissingExtraMisshapenAndUntiedTensors) {
  NamedTensors all = tensors();
  all.pop_back();
  write(all);
  expect_refused("tensor 'ln_f.bias' [8] is missing");
  all = tensors();
  all.emplace_back("h.2.ln_1.weight", at::zeros({8}));
  write(all);
  expect_refused("tensor 'h.2.ln_1.weight' is not part of a GPT-2 of 2 layers");
  all = tensors();
  all[4].second = all[4].second.t();
  write(all);
  expect_refused("has shape [24, 8], expected [8, 24]");
  all = tensors();
  all.emplace_back("lm_head.weight", at::zeros({5, 8}));
  write(all);
  expect_refused("only tied heads are known");
  all = tensors();
  all.emplace_back("transformer.ln_f.bias", at::zeros({8}));
  write(all);
  expect_refused("remove one");
  all = tensors();
  all[2].second = all[2].second.to(at::kLong);
  write(all);
  expect_refused("holds whole numbers");
}

TEST_F(LoadBackbone, RefusesATruncatedFileAndAnAbsentFolder) {
  const auto path = dir_ / "model.safetensors";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  expect_refused("truncated");
  std::filesystem::remove(path);
  expect_refused("cannot open");
  std::filesystem::remove(dir_ / "config.json");
  expect_refused("config.json");
}

TEST_F(LoadBackbone, RefusesConfigurationsThatItDoesNotKnow) {
  const std::tuple<std::string, nlohmann::json, std::string> cases[] = {
      {"model_type", "phi3", "known model types: gpt2, llama"},
      {"model_type", nullptr, "model_type is missing"},
      {"n_layer", 0, "n_layer is 0, expected a whole number from 1 to 10000"},
      {"n_head", 3, "a divisor of n_embd = 8"},
      {"n_embd", "8", "n_embd is \"8\""},
      {"vocab_size", nullptr, "vocab_size is missing"},
      {"layer_norm_epsilon", -1, "layer_norm_epsilon is -1"},
      {"attn_pdrop", 1.0, "attn_pdrop is 1.0"},
      {"activation_function", "relu", "activation_function is \"relu\", expected one of gelu_new"},
      {"scale_attn_by_inverse_layer_idx", true, "scale_attn_by_inverse_layer_idx is true, expected false"},
      {"n_layer", 3, "h.2.ln_1.weight"},
      {"vocab_size", 6, "has shape [5, 8], expected [6, 8]"},
  };
  for (const auto& [key, value, text] : cases) {
    edit_config(key, value);
    expect_refused(text);
  }
}

TEST_F(LoadBackbone, ShapeIsThatOfConfigJsonAloneAndARandomBackboneHasIt) {
  edit_config("attn_pdrop", 0.25);
  std::filesystem::remove(dir_ / "model.safetensors");
  const BackboneShape shape = read_shape(dir_);
  EXPECT_EQ(std::tuple(shape.width, shape.num_layers, shape.num_words, shape.max_positions), std::tuple(8, 2, 5, 16));
  EXPECT_EQ(std::tuple(shape.dropout_embedding, shape.dropout_attention), std::tuple(0.1, 0.25));
  const auto random = random_backbone(dir_, 1)->parameters(), expected = model_->parameters();
  ASSERT_EQ(random.size(), expected.size());
  for (size_t n = 0; n < random.size(); ++n) EXPECT_TRUE(at::equal(random[n].second, expected[n].second));
}

TEST_F(LoadBackbone, ExtraRowsAreFurtherWordsBehindItsOwn) {
  const at::Tensor users = at::full({3, 8}, 2.0, at::kFloat), items = at::full({2, 8}, 3.0, at::kFloat);
  model_->save(dir_, {users, items});
  const auto loaded = load_backbone(dir_, {});
  EXPECT_EQ(loaded->num_words(), 5 + 3 + 2);
  EXPECT_TRUE(at::equal(loaded->word_embedding(), at::cat({model_->word_embedding(), users, items})));
  EXPECT_TRUE(at::equal(loaded->parameters().back().second, model_->parameters().back().second));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "embedding.scratch"));
}

}  // namespace
}  // namespace cllm
