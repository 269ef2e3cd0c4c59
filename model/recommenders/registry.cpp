#include "model/recommenders/registry.h"

#include <algorithm>
#include <array>

#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "model/recommenders/language_model/language_model.h"

namespace cllm {
namespace {

template <typename Options>
std::unique_ptr<ModelOptions> make() {
  return std::make_unique<Options>();
}

const std::array kModels{
    Model{"cllm4rec", "a language model with tokens for users and items", make<Cllm4recOptions>, open_cllm4rec},
    Model{"language_model", "a backbone from scratch on the texts", make<LanguageModelOptions>, open_language_model},
};

}  // namespace

std::span<const Model> models() { return kModels; }

const Model* find_model(std::string_view name) {
  const auto found = std::ranges::find(kModels, name, &Model::name);
  return found == kModels.end() ? nullptr : &*found;
}

}  // namespace cllm
