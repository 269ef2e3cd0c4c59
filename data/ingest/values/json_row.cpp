#include "data/ingest/values/json_row.h"

#include <string>
#include <utility>
#include <vector>

#include "data/ingest/values/python_literal.h"

namespace cllm {

using Json = nlohmann::json;

namespace {

/// Whole numbers of more than 64 bits stay what they are, as texts: ids that differ in their last digits are others.
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder() = default;
  Builder(Builder&&) = delete;  // open_ points into root_
  Builder& operator=(Builder&&) = delete;
  ~Builder() override = default;

  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t& digits) override {
    return digits.find_first_of(".eE") == std::string::npos ? put(digits) : put(value);
  }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  bool put(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    open_.push_back(&place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  Json& place(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    if (open_.back()->is_object()) return (*open_.back())[key_] = std::move(value);
    open_.back()->push_back(std::move(value));
    return open_.back()->back();
  }

  Json root_;
  std::vector<Json*> open_;  // objects and arrays that are not closed, the innermost last: no other one grows
  std::string key_;
};

Json parse(std::string_view text) {
  Builder builder;
  return Json::sax_parse(text, &builder) ? builder.take() : Json(Json::value_t::discarded);
}

}  // namespace

Json parse_json_line(std::string_view line) {
  Json row = parse(line);
  if (row.is_discarded()) row = parse(python_literal_to_json(line));
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

bool holds_several(const Json& value) {
  const Json* inner = &value;
  while (inner->is_array() && inner->size() == 1) inner = &inner->front();
  return inner->is_array() && inner->size() > 1;
}

}  // namespace cllm
