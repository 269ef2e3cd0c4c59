#include "tests/bad_input/bad_input.h"

namespace cllm::testing {
namespace {

BadInput config_row(const std::string& name, const std::string& before, const std::string& now,
                    std::vector<std::string> message) {
  return {"backbone_" + name, [=] { replace("backbone/config.json", before, now); }, kTrain, 65, std::move(message)};
}

BadInput weights_row(const std::string& name, const std::string& bytes, std::vector<std::string> message) {
  return {"backbone_" + name, [bytes] { write("backbone/model.safetensors", bytes); }, kTrain, 65, std::move(message)};
}

void rename(const std::string& now) { std::filesystem::rename("backbone/model.safetensors", "backbone/" + now); }

}  // namespace

Rows bad_backbones() {
  const std::string weights = "backbone/model.safetensors";
  return {
      {"backbone_missing",
       nothing,
       "train --run.dir=new --run.corpus=corpus --run.backbone=nowhere",
       65,
       {"nowhere/config.json: cannot open"}},
      {"backbone_no_config",
       [] { remove("backbone/config.json"); },
       kTrain,
       65,
       {"backbone/config.json: cannot open", "model.safetensors"}},
      {"backbone_no_weights",
       [] { remove("backbone/model.safetensors"); },
       kTrain,
       65,
       {"backbone/model.safetensors: cannot open"}},
      {"backbone_config_not_json",
       [] { write("backbone/config.json", "n_layer = 1"); },
       kTrain,
       65,
       {"config.json: not valid JSON"}},
      {"backbone_config_list",
       [] { write("backbone/config.json", "[]"); },
       kTrain,
       65,
       {"config.json: not a JSON object"}},
      {"backbone_config_empty", [] { write("backbone/config.json", ""); }, kTrain, 65, {"config.json: not valid JSON"}},
      config_row("other_model", "\"model_type\": \"gpt2\"", "\"model_type\": \"phi3\"",
                 {"model_type is \"phi3\"", "gpt2", "llama", "gemma3_text"}),
      config_row("llama_without_sizes", "\"model_type\": \"gpt2\"", "\"model_type\": \"llama\"",
                 {"config.json: hidden_size is missing", "a whole number"}),
      config_row("no_model_type", "\"model_type\": \"gpt2\",", "", {"model_type is missing", "gpt2"}),
      config_row("layers_is_text", "\"n_layer\": 1", "\"n_layer\": \"1\"", {"n_layer is \"1\"", "a whole number"}),
      config_row("layers_zero", "\"n_layer\": 1", "\"n_layer\": 0", {"n_layer is 0"}),
      config_row("layers_beyond_reason", "\"n_layer\": 1", "\"n_layer\": 1000000000000", {"n_layer is 1000000000000"}),
      config_row("more_layers_than_weights", "\"n_layer\": 1", "\"n_layer\": 2",
                 {"tensor 'h.1.", "is missing", "config.json asks for it"}),
      config_row("width_beyond_reason", "\"n_embd\": 16", "\"n_embd\": 4611686018427387904",
                 {"n_embd is 4611686018427387904"}),
      config_row("width_other", "\"n_embd\": 16", "\"n_embd\": 32", {"has shape", "expected", "config.json"}),
      config_row("heads_no_divisor", "\"n_head\": 2", "\"n_head\": 3", {"n_head is 3", "a divisor of n_embd = 16"}),
      config_row("epsilon_negative", "\"layer_norm_epsilon\": 1e-05", "\"layer_norm_epsilon\": -1",
                 {"layer_norm_epsilon is -1"}),
      config_row("dropout_above_one", "\"attn_pdrop\": ", "\"attn_pdrop\": 1", {"attn_pdrop"}),
      config_row("other_activation", "gelu_new", "relu", {"activation_function is \"relu\"", "gelu_new"}),
      config_row("not_tied", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false",
                 {"tie_word_embeddings is false", "true"}),
      {"backbone_random_beyond_memory",
       [] { replace("backbone/config.json", "\"n_positions\": 96", "\"n_positions\": 9000000000000"); },
       kTrain + "--run.random_backbone=true",
       65,
       {"n_positions is 9000000000000"}},
      weights_row("weights_empty", "", {weights, "0 bytes", "copy it again"}),
      weights_row("weights_header_too_long", safetensors("{}", 0).substr(0, 7) + "\x7F{}",
                  {weights, "header length", "truncated"}),
      weights_row("weights_not_json", safetensors("{'a'}   ", 0), {weights, "header is not valid JSON"}),
      weights_row("weights_list", safetensors("[]", 0), {weights, "not a JSON object"}),
      weights_row("weights_pickle", "\x80\x02}q\x00" + std::string(100, 'x'), {weights, "no safetensors file"}),
      weights_row("weights_unknown_dtype", safetensors(R"({"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}})", 1),
                  {"tensor 'a' has dtype F8", "F32"}),
      weights_row("weights_shape_too_large",
                  safetensors(R"({"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}})", 4),
                  {"tensor 'a'", "4000000000000", "give 4"}),
      weights_row("weights_shape_overflows",
                  safetensors(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0),
                  {"tensor 'a': its shape overflows"}),
      weights_row("weights_shape_negative",
                  safetensors(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4), {"tensor 'a'", "-1"}),
      weights_row("weights_beyond_file", safetensors(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4),
                  {"ends at byte 8", "holds 4", "truncated"}),
      weights_row(
          "weights_overlap",
          safetensors(
              R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
              6),
          {"'b' overlaps 'a'"}),
      weights_row(
          "weights_twice",
          safetensors(
              R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
              1),
          {"'a' occurs twice"}),
      {"backbone_weights_cut",
       [=] { truncate(weights, std::filesystem::file_size(weights) - 4); },
       kTrain,
       65,
       {weights, "truncated"}},
      {"backbone_weights_longer",
       [=] { write(weights, read(weights) + "xxxx"); },
       kTrain,
       65,
       {weights, "4 bytes follow the last tensor"}},
      {"backbone_weights_renamed_tensor",
       [=] { replace(weights, "transformer.ln_f.bias", "transformer.ln_x.bias"); },
       kTrain,
       65,
       {"ln_f.bias", "is missing"}},
      {"backbone_index_not_json",
       [] {
         rename("a.safetensors");
         write("backbone/model.safetensors.index.json", "{");
       },
       kTrain,
       65,
       {"model.safetensors.index.json", "no valid index"}},
      {"backbone_index_leaves_folder",
       [] {
         rename("a.safetensors");
         write("backbone/model.safetensors.index.json", R"({"weight_map": {"x": "../a"}})");
       },
       kTrain,
       65,
       {"'../a' is not a plain file name"}},
      {"backbone_index_shard_missing",
       [] {
         rename("a.safetensors");
         write("backbone/model.safetensors.index.json", R"({"weight_map": {"x": "b.safetensors"}})");
       },
       kTrain,
       65,
       {"b.safetensors: cannot open"}},
      {"backbone_index_lists_other_tensors",
       [] {
         rename("a.safetensors");
         write("backbone/model.safetensors.index.json", R"({"weight_map": {"x": "a.safetensors"}})");
       },
       kTrain,
       65,
       {"is not listed for this shard"}},
  };
}

}  // namespace cllm::testing
