#pragma once

#include <cstdint>
#include <memory>

#include "model/recommenders/model_options.h"

namespace cllm {

/// Ranges of Rendle et al. 2022: alpha0 .003 to 1, lambda 5e-4 to .05.
struct IalsOptions : ModelOptions {
  int64_t width = 64, epochs = 16;
  double alpha0 = 0.1, lambda = 0.01, nu = 1, std = 0.1;

  void describe(Settings& settings) override;
  std::vector<SearchKey> search_space() const override;
  std::unique_ptr<ModelOptions> clone() const override { return std::make_unique<IalsOptions>(*this); }
};

}  // namespace cllm
