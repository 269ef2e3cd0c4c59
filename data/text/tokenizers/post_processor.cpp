#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/json_reading.h"

namespace cllm {
namespace {

int32_t id_from(const JsonPart& part, const nlohmann::json& id, int64_t num_tokens) {
  part.require(id.is_number_unsigned() && id.get<uint64_t>() < static_cast<uint64_t>(num_tokens),
               "id " + id.dump() + " is none of " + std::to_string(num_tokens) + " tokens");
  return id.get<int32_t>();
}

/// "single": special tokens before and behind the sequence.
TokensAround read_template(const JsonPart& part, int64_t num_tokens) {
  TokensAround around;
  int sequences = 0;
  for (const nlohmann::json& piece : part.json.at("single")) {
    if (piece.contains("Sequence")) {
      ++sequences;
      continue;
    }
    const std::string name = piece.at("SpecialToken").at("id").get<std::string>();
    for (const nlohmann::json& id : part.json.at("special_tokens").at(name).at("ids"))
      (sequences == 0 ? around.before : around.behind).push_back(id_from(part, id, num_tokens));
  }
  part.require(sequences == 1, "single names the text " + std::to_string(sequences) + " times, not once");
  return around;
}

}  // namespace

std::string JsonPart::character(const char* key, const std::string& otherwise) const {
  std::string value = text(key, otherwise);
  require(!value.empty() && code_point_at(value, 0).bytes == value.size(),
          std::string(key) + " is '" + value + "', not one character");
  return value;
}

Regex JsonPart::pattern(const char* key) const {
  const nlohmann::json& value = json.at(key);
  if (value.contains("Regex")) return Regex(value["Regex"].get<std::string>(), where);
  const std::string literal = value.is_string() ? value.get<std::string>() : value.at("String").get<std::string>();
  std::string escaped;
  for (const char c : literal) {
    const bool plain = (static_cast<unsigned char>(c) & 0x80) != 0 || (c >= '0' && c <= '9') ||
                       (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!plain) escaped += '\\';
    escaped += c;
  }
  return Regex(escaped, where);
}

TokensAround read_post_processor(const JsonPart& part, int64_t num_tokens) {
  if (part.json.is_null()) return {};
  const std::string type = part.type();
  if (type == "ByteLevel") return {};  // changes offsets alone
  if (type == "TemplateProcessing") return read_template(part, num_tokens);
  if (type == "BertProcessing" || type == "RobertaProcessing")
    return {{id_from(part, part.json.at("cls").at(1), num_tokens)},
            {id_from(part, part.json.at("sep").at(1), num_tokens)}};
  if (type == "Sequence") {
    TokensAround all;
    for (const TokensAround& one :
         part.each("processors", [&](const JsonPart& p) { return read_post_processor(p, num_tokens); })) {
      all.before.insert(all.before.begin(), one.before.begin(), one.before.end());
      all.behind.insert(all.behind.end(), one.behind.begin(), one.behind.end());
    }
    return all;
  }
  part.refuse("type is '" + type +
              "'; known are Sequence, TemplateProcessing, ByteLevel, BertProcessing, RobertaProcessing");
}

}  // namespace cllm
