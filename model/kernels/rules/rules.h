#pragma once

// The table of row optimisers. Only what compiles them all includes it; the rest needs row_rule.h.

#include "model/kernels/rules/adam.h"
#include "model/kernels/rules/lazy_adam.h"
#include "model/kernels/rules/rowwise_adagrad.h"
#include "model/kernels/rules/rowwise_adam.h"
#include "model/kernels/rules/rule.h"
#include "model/kernels/rules/sgd.h"

namespace cllm::kernels {

template <template <typename> class... Rule>
struct RuleList {};

// clang-format off
using RowRules = RuleList<
    AdamRule,
    LazyAdamRule,
    RowwiseAdagradRule,
    RowwiseAdamRule,
    SgdRule>;
// clang-format on

}  // namespace cllm::kernels
