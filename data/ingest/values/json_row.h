#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cllm {

/// A line as JSON; Python literals and NaN are read, too. Discarded if it is neither.
nlohmann::json parse_json_line(std::string_view line);

/// The value as text: a string as it is, a number as written, the elements of arrays joined with ", "; of an object
/// only what MongoDB's extended JSON wraps ({"$date": x}); null: nothing.
void append_json_text(const nlohmann::json& value, std::string& out, int depth = 0);

/// Is it an array of more than one value?
bool holds_several(const nlohmann::json& value);

}  // namespace cllm
