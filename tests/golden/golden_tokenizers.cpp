// Reproduces ids and decodings of the tokenizers in a folder: DIR/FAMILY/tokenizer.json and vectors.json
// ({"texts": [{text, ids, ids_special, decoded}]}, as shared/reference/make_tokenizers.py writes them).

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/errors.h"
#include "data/random.h"
#include "data/text/characters/unicode.h"
#include "data/text/tokenizer.h"

namespace {

using cllm::Tokenizer;
using nlohmann::json;
namespace fs = std::filesystem;
using Ids = std::vector<int32_t>;

struct Options {
  fs::path dir;
  uint64_t round_trips = 2000;
  double seconds = 0;  // at most, for a megabyte without blanks; 0: any
};

struct Outcome {
  size_t texts = 0, wrong = 0;
  uint64_t round_trips = 0, lost = 0;
  double seconds = 0;
};

json read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw cllm::DataError(path.string() + ": cannot be opened");
  return json::parse(file);
}

std::string quoted(const std::string& text) { return json(text).dump(-1, ' ', true, json::error_handler_t::replace); }

/// Prints the first differences.
void tell(const std::string& family, const char* what, const json& text, const std::string& found,
          const std::string& expected, size_t before) {
  constexpr size_t kShown = 5;
  if (before < kShown)
    std::printf("  %s: %s of %s\n    is       %s\n    expected %s\n", family.c_str(), what, text.dump().c_str(),
                found.c_str(), expected.c_str());
}

void check_vectors(const std::string& family, const Tokenizer& tokenizer, const json& vectors, Outcome& outcome) {
  for (const json& vector : vectors.at("texts")) {
    ++outcome.texts;
    const std::string text = vector.at("text");
    const auto compare = [&](const char* what, const Ids& found, const json& expected) {
      if (json(found) == expected) return true;
      tell(family, what, vector["text"], json(found).dump(), expected.dump(), outcome.wrong);
      return false;
    };
    bool right = compare("ids", tokenizer.encode(text, {.special_words = true}), vector.at("ids"));
    right &= compare("ids with special tokens", tokenizer.encode(text, {.special_words = true, .around = true}),
                     vector.at("ids_special"));
    const std::string decoded = tokenizer.decode(vector.at("ids").get<Ids>());
    if (decoded != vector.at("decoded")) {
      tell(family, "decoding", vector["text"], quoted(decoded), vector["decoded"].dump(), outcome.wrong);
      right = false;
    }
    outcome.wrong += !right;
  }
}

/// Draws characters of all kinds: ASCII, letters, marks, blanks, controls, CJK, emoji, anything.
class RandomTexts {
 public:
  explicit RandomTexts(uint64_t seed) : state_(seed) {}

  std::string next() {
    std::string text;
    for (uint64_t left = below(40); left > 0; --left) {
      const auto [first, last] = kRanges[below(std::size(kRanges))];
      const int32_t code = first + static_cast<int32_t>(below(static_cast<uint64_t>(last - first) + 1));
      if (code < 0xD800 || code > 0xDFFF) cllm::append_utf8(text, code);
    }
    return text;
  }

 private:
  static constexpr std::pair<int32_t, int32_t> kRanges[] = {
      {0x20, 0x7E},     {0x20, 0x7E},     {'a', 'z'},       {' ', ' '},         {'0', '9'},       {0, 0x1F},
      {0x80, 0x24F},    {0x300, 0x36F},   {0x370, 0x6FF},   {0x900, 0x1FFF},    {0x2000, 0x206F}, {0x2100, 0x2BFF},
      {0x3000, 0x9FFF}, {0xAC00, 0xD7A3}, {0xF900, 0xFFFD}, {0x1F300, 0x1FAFF}, {0, 0x10FFFF}};
  uint64_t below(uint64_t limit) { return cllm::mix64(++state_) % limit; }
  uint64_t state_;
};

/// What a text should come back as, or that a family loses more than that.
class Loss {
 public:
  /// A family whose golden decodings are their texts loses nothing. (Those with special tokens in the text are ordinary
  /// text to what is tested here.)
  Loss(const json& file, const json& vectors, const Tokenizer& tokenizer) {
    const json& model = file.at("model");
    marks_ = model.value("byte_fallback", false);
    composed_ = file.contains("normalizer") && file["normalizer"].dump().find("\"NFC\"") != std::string::npos;
    lossless_ = model.value("type", "BPE") == "BPE";
    for (const json& vector : vectors.at("texts")) {
      const std::string text = vector.at("text");
      if (json(tokenizer.encode(text)) == vector.at("ids")) lossless_ &= vector.at("decoded") == kept(text);
    }
  }
  bool lossless() const { return lossless_; }
  std::string kept(std::string text) const {
    if (composed_) text = cllm::normal_form(text, cllm::NormalForm::kNfc);
    const std::string mark = "\u2581";
    for (size_t at = text.find(mark); marks_ && at != std::string::npos; at = text.find(mark, at))
      text.replace(at, mark.size(), " ");
    return text;
  }

 private:
  bool lossless_, composed_, marks_;  // marks: U+2581 and the blank are one
};

void check_round_trips(const std::string& family, const Tokenizer& tokenizer, const Loss& loss, uint64_t count,
                       Outcome& outcome) {
  RandomTexts texts(count);
  for (; loss.lossless() && outcome.round_trips < count; ++outcome.round_trips) {
    const std::string text = texts.next();
    const std::string decoded = tokenizer.decode(tokenizer.encode(text)), kept = loss.kept(text);
    if (decoded == kept) continue;
    tell(family, "round trip", text, quoted(decoded), quoted(kept), outcome.lost);
    ++outcome.lost;
  }
}

/// Seconds of the processor.
double time_of_a_megabyte(const Tokenizer& tokenizer, const json& vectors) {
  std::string text;
  while (text.size() < 1'000'000) {
    for (const json& vector : vectors.at("texts"))
      for (const char c : vector.at("text").get<std::string>())
        if (c < 0 || c > ' ') text += c;
    if (text.empty()) return 0;
  }
  const std::clock_t start = std::clock();
  tokenizer.encode(text);
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

bool check(const fs::path& folder, const Options& options) {
  const std::string family = folder.filename();
  const Tokenizer tokenizer = Tokenizer::load(folder);
  const json vectors = read(folder / "vectors.json");
  Outcome outcome;
  check_vectors(family, tokenizer, vectors, outcome);
  const Loss loss(read(folder / "tokenizer.json"), vectors, tokenizer);
  check_round_trips(family, tokenizer, loss, options.round_trips, outcome);
  outcome.seconds = time_of_a_megabyte(tokenizer, vectors);
  const bool slow = options.seconds > 0 && outcome.seconds > options.seconds;
  const bool passed = outcome.texts > 0 && outcome.wrong == 0 && outcome.lost == 0 && !slow;
  std::printf("%-10s %s  %zu of %zu texts, ", family.c_str(), passed ? "passed" : "FAILED",
              outcome.texts - outcome.wrong, outcome.texts);
  if (loss.lossless()) {
    std::printf("%llu of %llu round trips", static_cast<unsigned long long>(outcome.round_trips - outcome.lost),
                static_cast<unsigned long long>(outcome.round_trips));
  } else {
    std::printf("no round trips (it loses characters)");
  }
  std::printf(", a megabyte without blanks %.2f s%s\n", outcome.seconds, slow ? ": too slow" : "");
  return passed;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Reproduces golden ids of tokenizers");
  app.add_option("DIR", options.dir)->required()->check(CLI::ExistingDirectory);
  app.add_option("--round-trips", options.round_trips, "Random texts per family that loses nothing")
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "Most processor time for a megabyte without blanks; 0: any");
  CLI11_PARSE(app, argc, argv);
  try {
    std::vector<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(options.dir))
      if (fs::exists(entry.path() / "vectors.json")) folders.push_back(entry.path());
    std::sort(folders.begin(), folders.end());
    if (folders.empty()) throw cllm::DataError(options.dir.string() + ": no folder with vectors.json");
    size_t failed = 0;
    for (const fs::path& folder : folders) failed += !check(folder, options);
    std::printf("golden_tokenizers: %zu of %zu families passed\n", folders.size() - failed, folders.size());
    return failed == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "golden_tokenizers: %s\n", error.what());
    return 65;
  }
}
