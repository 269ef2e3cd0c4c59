// The registry of models as fuzzers see it: configurations of the default model, without the code of any.
#include "model/recommenders/cllm4rec/options.h"
#include "model/recommenders/registry.h"

namespace cllm {

std::span<const Model> models() {
  static const Model kModel{.name = "cllm4rec",
                            .summary = "",
                            .options = [] { return std::unique_ptr<ModelOptions>(new Cllm4recOptions); },
                            .open = nullptr};
  return {&kModel, 1};
}

const Model* find_model(std::string_view name) { return name == models()[0].name ? models().data() : nullptr; }

}  // namespace cllm
