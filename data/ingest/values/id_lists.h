#pragma once

#include <optional>
#include <string>
#include <vector>

namespace cllm {

/// Several ids in one cell.
struct IdLists {
  std::string between;  // what stands between the ids: " ", ",", "|", ...
  std::string example;  // a cell
};

/// Do most of the cells hold several ids of one form (105 119 103; v105|v119; [105 119])? Names, titles and ids of
/// several parts do not. `others`: ids of the same rows in the other column: there is a list per user where none comes
/// again, and else lists differ in length.
std::optional<IdLists> lists_of_ids(const std::vector<std::string>& cells, const std::vector<std::string>& others);

}  // namespace cllm
