#include "model/kernels/rules/rules.h"

#include <algorithm>
#include <array>

#include "model/kernels/rules/row_rule.h"

namespace cllm::kernels {
namespace {

template <template <typename> class... Rule>
std::array<RowRule, sizeof...(Rule)> lines(RuleList<Rule...>) {
  int number = 0;
  return {{{Rule<float>::kName,
            Rule<float>::kDoc,
            {Rule<float>::kState.data(), Rule<float>::kState.size()},
            Rule<float>::kMovesAbsentRows,
            number++}...}};
}

}  // namespace

c10::ArrayRef<RowRule> row_rules() {
  static const auto table = lines(RowRules());
  return table;
}

const RowRule* find_row_rule(std::string_view name) {
  const auto rules = row_rules();
  const auto* const found = std::find_if(rules.begin(), rules.end(), [&](const RowRule& r) { return r.name == name; });
  return found == rules.end() ? nullptr : found;
}

}  // namespace cllm::kernels
