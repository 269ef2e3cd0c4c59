#include <xxhash.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "checkpoints/errors.h"
#include "checkpoints/format/manifest.h"
#include "checkpoints/format/shard_file.h"
#include "data/errors.h"
#include "data/text/tokenizer.h"
#include "launch/config/config.h"
#include "launch/failures/errors.h"
#include "model/backbones/gguf/gguf_model.h"
#include "model/backbones/gpt2/gpt2_config.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"
#include "tests/fuzzers/targets.h"

namespace cllm::fuzz {
namespace {

/// Runs `parse`; only an Error may leave it, and it must be one line (of a ConfigError, which quotes the command line,
/// launch/failures/exit_codes.cpp makes one).
template <typename Error, typename Parse>
void attempt(const Parse& parse) {
  try {
    parse();
  } catch (const Error& error) {
    require(std::is_same_v<Error, ConfigError> || std::strchr(error.what(), '\n') == nullptr, "an error is one line");
  }
}

void use(const RunConfig& config) {
  const std::string text = to_toml(config);
  require(to_toml(load_config(as_file("printed.toml", text).string(), {})) == text,
          "a printed configuration reads back");
  require(config_digest(config).size() == 16, "a digest has 16 digits");
}

}  // namespace

void safetensors(std::string_view bytes) {
  attempt<ModelError>([&] {
    const SafetensorsFile file(as_file("model.safetensors", bytes).string());
    size_t total = 0;
    for (const std::string& name : file.names()) {
      const at::Tensor tensor = file.tensor(name);
      total += tensor.nbytes();
      as_file("tensor", {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});  // reads every byte
    }
    require(total <= bytes.size(), "tensors are no larger than their file");
  });
}

/// Metadata as config.json, tensors, and the tokenizer.
void gguf(std::string_view bytes) {
  const std::filesystem::path file = as_file("gguf/model.gguf", bytes);
  attempt<ModelError>([&] { require(gguf_config(file).is_object(), "a configuration is an object"); });
  attempt<ModelError>([&] {
    size_t values = 0;
    for (const auto& [name, weight] : gguf_weights(file)) values += static_cast<size_t>(weight.tensor.numel());
    constexpr size_t kMostPerByte = 4;  // Q2_K has 256 values in 84 bytes
    require(values <= kMostPerByte * bytes.size(), "tensors are no larger than their file");
  });
  attempt<DataError>([&] { Tokenizer::load(file).encode("The quick brown fox"); });
}

void backbone_config(std::string_view bytes) {
  attempt<ModelError>([&] {
    const Gpt2Config config = read_gpt2_config(as_file("backbone/config.json", bytes).parent_path().string());
    int64_t num_bytes = 0;
    const bool overflow = __builtin_mul_overflow(8 * config.num_layers, config.width, &num_bytes) ||
                          __builtin_mul_overflow(num_bytes, 3 * config.width + config.mlp_width(), &num_bytes);
    require(!overflow, "the size of the model can be computed");
    as_file("backbone/config.json", gpt2_config_json(config));
    const Gpt2Config again = read_gpt2_config((scratch() / "backbone").string());
    require(gpt2_config_json(again) == gpt2_config_json(config), "a written configuration reads back");
  });
}

void config_toml(std::string_view bytes) {
  const std::vector<std::string> needed = {"--run.corpus=c", "--run.backbone=b"};
  attempt<ConfigError>([&] { use(load_config(as_file("run.toml", bytes).string(), needed)); });
}

void config_override(std::string_view bytes) {
  const std::vector<std::string> overrides = {"--run.corpus=c", "--run.backbone=b", std::string(bytes)};
  attempt<ConfigError>([&] { use(load_config("", overrides)); });
}

namespace {

void parse_checkpoint_manifest(const std::string& text) {
  attempt<CheckpointError>([&] {
    const std::string printed = to_text(parse_manifest(text, "manifest.json"));
    require(to_text(parse_manifest(printed, "manifest.json")) == printed,
            "a manifest that is written reads back the same");
  });
}

}  // namespace

/// As it is, and in canonical form with the checksum that a forger would compute.
void checkpoint_manifest(std::string_view bytes) {
  parse_checkpoint_manifest(std::string(bytes));
  nlohmann::json json = nlohmann::json::parse(bytes, nullptr, false);
  if (!json.is_object() || bytes.size() > 65536) return;
  json.erase("checksum");
  const std::string text = json.dump();
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  json["checksum"] = digits;
  parse_checkpoint_manifest(json.dump(1) + "\n");
}

/// A shard file of its own manifest: the record says 200 bytes with the checksum of 200 letters.
void checkpoint_shard(std::string_view bytes) {
  constexpr int64_t kBytes = 200;
  const std::string expected(kBytes, 'x');
  as_file("shards/shard", bytes);
  const ShardEntry entry{"shard", kBytes, {XXH3_64bits(expected.data(), expected.size())}};
  attempt<CheckpointError>([&] {
    ShardReader reader(scratch() / "shards", entry);
    std::string found(100, 0);
    reader.read(50, 100, reinterpret_cast<std::byte*>(found.data()));
    require(found == expected.substr(50, 100), "no wrong byte is handed out");
    reader.verify();
  });
}

}  // namespace cllm::fuzz
