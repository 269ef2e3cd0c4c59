#include "model/backbones/other_formats.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

#include "model/errors.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

struct OtherFormat {
  std::function<bool(const std::string&)> matches;  // a file's name
  std::string advice;                               // DIR, FILE
};

std::function<bool(const std::string&)> ends(const std::string& ending) {
  return [ending](const std::string& name) { return name.ends_with(ending); };
}

std::string convert_with_transformers(const std::string& how) {
  return "convert it: python -c \"from transformers import AutoModelForCausalLM as M; M.from_pretrained('DIR'" + how +
         ").save_pretrained('DIR', safe_serialization=True)\"";
}

/// In the order of what helps most.
const std::vector<OtherFormat>& other_formats() {
  static const std::vector<OtherFormat> all = {
      {[](const std::string& name) { return name.starts_with("pytorch_model") && name.ends_with(".bin"); },
       convert_with_transformers("")},
      {[](const std::string& name) { return name == "adapter_model.safetensors" || name == "adapter_model.bin"; },
       "an adapter without its model; join them: python -c \"from peft import AutoPeftModelForCausalLM as M; "
       "M.from_pretrained('DIR').merge_and_unload().save_pretrained('MERGED')\""},
      {[](const std::string& name) { return name.starts_with("model-0") && name.ends_with(".safetensors"); },
       "one shard of several; copy model.safetensors.index.json and all shards"},
      {[](const std::string& name) { return name.starts_with("consolidated"); },
       "Mistral's own layout, whose tensors have other names; download the model's other files (model-*.safetensors)"},
      {ends(".safetensors"), "rename it to model.safetensors, or copy its model.safetensors.index.json, too"},
      {ends(".gguf"), convert_with_transformers(", gguf_file='FILE'")},
      {[](const std::string& name) { return name == "tf_model.h5"; }, convert_with_transformers(", from_tf=True")},
      {[](const std::string& name) { return name == "flax_model.msgpack"; },
       convert_with_transformers(", from_flax=True")},
      {[](const std::string& name) {
         return name.ends_with(".pt") || name.ends_with(".pth") || name.ends_with(".ckpt") || name.ends_with(".bin");
       },
       "convert it: python -c \"import torch; from safetensors.torch import save_file; d = torch.load('DIR/FILE', "
       "map_location='cpu', weights_only=True); save_file({k: v.clone() for k, v in d.get('state_dict', d).items()}, "
       "'DIR/model.safetensors')\""}};
  return all;
}

std::string filled(std::string text, const std::string& word, const std::string& value) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + value.size()))
    text.replace(at, word.size(), value);
  return text;
}

}  // namespace

std::string what_else(std::string_view begin) {
  struct Beginning {
    std::string_view bytes, meaning;
  };
  static constexpr Beginning kKnown[] = {
      {"version https://git-lfs", "a Git LFS pointer in the place of the file; `git lfs pull` fetches it"},
      {"<", "a web page or XML, perhaps an error message of a download; fetch it again"},
      {"PK\x03\x04", "a zip archive, perhaps of torch.save; convert it with safetensors.torch.save_file"},
      {"GGUF", "GGUF; convert it with transformers: from_pretrained(..., gguf_file=...)"}};
  for (const auto& [bytes, meaning] : kKnown) {
    if (begin.starts_with(bytes)) return std::string(meaning);
  }
  return "no safetensors file, or truncated; copy it again";
}

void refuse_other_formats(const std::string& dir) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(dir, ignored)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  for (const OtherFormat& format : other_formats()) {
    const auto found = std::find_if(names.begin(), names.end(), format.matches);
    if (found == names.end()) continue;
    throw ModelError(dir + "/model.safetensors: not there, but " + *found +
                     " is: " + filled(filled(format.advice, "FILE", *found), "DIR", dir));
  }
}

}  // namespace cllm
