#include <cstring>
#include <nlohmann/json.hpp>

#include "data/errors.h"
#include "data/ingest/values/columns.h"
#include "data/ingest/values/moment.h"
#include "data/ingest/values/parse.h"
#include "data/ingest/values/python_literal.h"
#include "data/text/tokenizer.h"
#include "tests/fuzzers/targets.h"

namespace cllm::fuzz {
namespace {

constexpr std::string_view kText = "The quick br\xC3\xB6wn fox 123  jumps!\n\x80\xFF";

void use(const std::filesystem::path& dir) {
  try {
    const Tokenizer tokenizer = Tokenizer::load(dir);
    const std::string decoded = tokenizer.decode(tokenizer.encode(kText, {.special_words = true, .around = true}));
    tokenizer.encode(kText, {.behind_id = true});
    std::filesystem::remove_all(scratch() / "saved");
    tokenizer.save(scratch() / "saved");
    const bool is_gpt2_kind = std::filesystem::exists(scratch() / "saved" / "vocab.json");
    require(!is_gpt2_kind || decoded == kText, "what is encoded decodes to itself");
    require(Tokenizer::load(scratch() / "saved").fingerprint() == tokenizer.fingerprint(),
            "a saved tokenizer is the same tokenizer");
  } catch (const DataError& error) {
    require(std::strchr(error.what(), '\n') == nullptr, "an error is one line");
  }
}

}  // namespace

void tokenizer_json(std::string_view bytes) { use(as_file("json/tokenizer.json", bytes).parent_path()); }

void tokenizer_files(std::string_view bytes) {
  const auto parts = split_parts(bytes);
  const auto part = [&](size_t n) { return parts.size() > n ? parts[n] : std::string_view(); };
  as_file("files/vocab.json", part(0));
  for (const auto& [name, n] : {std::pair{"added_tokens.json", size_t{2}}, {"tokenizer_config.json", size_t{3}}}) {
    std::filesystem::remove(scratch() / "files" / name);
    if (parts.size() > n) as_file(std::string("files/") + name, part(n));
  }
  use(as_file("files/merges.txt", part(1)).parent_path());
}

/// The small readers that every table is made of.
void scalars(std::string_view bytes) {
  if (const auto moment = parse_moment(bytes)) require(moment->fraction < 1'000'000'000, "a fraction is below one");
  folded(bytes);
  suggest_encoding(bytes);
  if (const auto number = parse_number(bytes)) require(*number - *number == 0, "a number is finite");
  require(trimmed(bytes).size() <= bytes.size(), "trimming adds nothing");
  require(quoted(bytes).find('\n') == std::string::npos, "a quoted value is one line");
  const std::string text = '"' + std::string(bytes) + '"';
  const bool plain =
      bytes.find_first_of("\\\"") == std::string_view::npos &&
      std::none_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (plain) require(is_utf8(bytes) == nlohmann::json::accept(text), "UTF-8 is what the JSON library takes for it");
  python_literal_to_json(bytes);
}

}  // namespace cllm::fuzz
