#pragma once

// The row optimisers for those who choose one when the program runs.

#include <c10/util/ArrayRef.h>

#include <string_view>

#include "model/kernels/rules/rule.h"

namespace cllm::kernels {

/// A line of the table, rules.h.
struct RowRule {
  std::string_view name, doc;
  c10::ArrayRef<StateSpec> state;
  bool moves_absent_rows;
  int number;  // place in RowRules
};

/// All of them, in the order of RowRules.
c10::ArrayRef<RowRule> row_rules();

/// Null for a name that there is not.
const RowRule* find_row_rule(std::string_view name);

}  // namespace cllm::kernels
