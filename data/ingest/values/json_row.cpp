#include "data/ingest/values/json_row.h"

#include "data/ingest/values/python_literal.h"

namespace cllm {

using Json = nlohmann::json;

Json parse_json_line(std::string_view line) {
  Json row = Json::parse(line, nullptr, false);
  if (row.is_discarded()) row = Json::parse(python_literal_to_json(line), nullptr, false);
  return row;
}

void append_json_text(const Json& value, std::string& out, int depth) {
  constexpr int kMaxDepth = 8;
  if (value.is_array() && depth < kMaxDepth) {
    for (const Json& element : value) append_json_text(element, out, depth + 1);
    return;
  }
  if (value.is_object() && value.size() == 1 && value.begin().key().starts_with('$') && depth < kMaxDepth)
    return append_json_text(value.begin().value(), out, depth + 1);
  const std::string text = value.is_string()                         ? value.get<std::string>()
                           : value.is_number() || value.is_boolean() ? value.dump()
                                                                     : "";
  if (!out.empty() && !text.empty()) out += ", ";
  out += text;
}

}  // namespace cllm
