// SentencePiece's precompiled character map: u32 size of a double array in bytes, the array (Darts-clone's units), then
// replacements that end with a zero byte (sentencepiece/src/normalizer.cc).

#include <array>
#include <cstring>

#include "data/text/characters/unicode.h"
#include "data/text/tokenizers/json_reading.h"

namespace cllm {
namespace {

class Charsmap : public Normalizer {
 public:
  explicit Charsmap(const JsonPart& part) {
    const std::string bytes = from_base64(part, "precompiled_charsmap");
    uint32_t size = 0;
    part.require(bytes.size() >= sizeof size, "precompiled_charsmap has no size");
    std::memcpy(&size, bytes.data(), sizeof size);
    part.require(
        size % 4 == 0 && size > 0 && size <= bytes.size() - sizeof size,
        "precompiled_charsmap has " + std::to_string(bytes.size()) + " bytes, its array needs " + std::to_string(size));
    units_.resize(size / 4);
    std::memcpy(units_.data(), bytes.data() + sizeof size, size);
    replacements_ = bytes.substr(sizeof size + size);
  }

  /// As the tokenizers library: a grapheme of fewer than 6 bytes is replaced as a whole if the map has a string that it
  /// starts with; else its characters are replaced one by one.
  void apply(std::string& text, TextPlace) const override {
    std::string out;
    out.reserve(text.size());
    for (size_t start = 0; start < text.size();) {
      const size_t end = grapheme_end(text, start);
      append(out, std::string_view(text).substr(start, end - start));
      start = end;
    }
    text = std::move(out);
  }

 private:
  static constexpr size_t kLongGrapheme = 6;

  void append(std::string& out, std::string_view grapheme) const {
    if (grapheme.size() < kLongGrapheme && append_replacement(out, grapheme)) return;
    for_each_code_point(grapheme, [&](int32_t, std::string_view bytes) {
      if (!append_replacement(out, bytes)) out += bytes;
    });
  }

  bool append_replacement(std::string& out, std::string_view text) const {
    const int64_t place = first_match(text);
    if (place < 0 || static_cast<size_t>(place) >= replacements_.size()) return false;
    out += replacements_.c_str() + place;  // to its zero byte
    return true;
  }

  /// The value of the shortest key that `text` starts with, or -1.
  int64_t first_match(std::string_view text) const {
    size_t node = offset(units_[0]);
    for (const char c : text) {
      const uint32_t byte = static_cast<unsigned char>(c);
      node ^= byte;
      if (byte == 0 || node >= units_.size()) return -1;
      const uint32_t unit = units_[node];
      if ((unit & (1U << 31 | 0xFF)) != byte) return -1;  // its label
      node ^= offset(unit);
      if ((unit >> 8 & 1) != 0) return node < units_.size() ? units_[node] & ~(1U << 31) : -1;  // a key ends here
    }
    return -1;
  }

  static size_t offset(uint32_t unit) { return size_t{unit >> 10} << ((unit & (1U << 9)) >> 6); }

  std::vector<uint32_t> units_;
  std::string replacements_;
};

}  // namespace

std::string from_base64(const JsonPart& part, const char* key) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int, 256> value_of{};
  value_of.fill(-1);
  for (size_t n = 0; n < kDigits.size(); ++n) value_of[static_cast<unsigned char>(kDigits[n])] = static_cast<int>(n);
  const std::string text = part.json.at(key).get<std::string>();
  std::string bytes;
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : std::string_view(text).substr(0, text.find('='))) {
    const int value = value_of[static_cast<unsigned char>(c)];
    part.require(value >= 0, std::string(key) + " is not base64");
    bits = (bits << 6 | static_cast<uint32_t>(value)) & 0xFFFFFF;
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes += static_cast<char>(bits >> num_bits & 0xFF);
  }
  return bytes;
}

std::unique_ptr<Normalizer> make_charsmap(const JsonPart& part) { return std::make_unique<Charsmap>(part); }

}  // namespace cllm
