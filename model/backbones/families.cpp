#include "model/backbones/families.h"

#include <string>

#include "model/backbones/decoder/decoder_files.h"
#include "model/backbones/encoder/bert_files.h"
#include "model/backbones/encoder_decoder/t5_files.h"
#include "model/backbones/gpt2/gpt2_files.h"

namespace cllm {
namespace {

constexpr const Family* kFamilies[] = {
    &kGpt2Family,  &kLlamaFamily,  &kMistralFamily, &kQwen2Family,
    &kQwen3Family, &kGemma3Family, &kT5Family,      &kBertFamily,
};

}  // namespace

const Family& family_of(const ConfigJson& file) {
  const std::string model_type = file.text("model_type", "");
  std::string known;
  for (const Family* family : kFamilies) {
    if (model_type == family->model_type) return *family;
    known += (known.empty() ? "" : ", ") + std::string(family->model_type);
  }
  file.refuse("model_type", "one of the known model types: " + known);
}

}  // namespace cllm
