// GPT-2's reversible map of bytes to printable characters, from its encoder.py: the 188 bytes that print in Latin-1
// stand for themselves, the other 68 become U+0100, U+0101, ... in order.

#include "data/text/tokenizers/byte_symbols.h"

namespace cllm {
namespace {

constexpr int kNumPrintable = 188;

constexpr bool prints(int byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; }

struct Maps {
  std::array<int, 256> symbol_of{};                      // byte -> code point
  std::array<int, 256 + 256 - kNumPrintable> byte_of{};  // code point -> byte or -1
  std::array<unsigned char, 256> in_order{};
};

constexpr Maps make_maps() {
  Maps maps;
  for (int& byte : maps.byte_of) byte = -1;
  int next_other = 256, printed = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const int symbol = prints(byte) ? byte : next_other++;
    maps.symbol_of[static_cast<size_t>(byte)] = symbol;
    maps.byte_of[static_cast<size_t>(symbol)] = byte;
    const int place = prints(byte) ? printed++ : kNumPrintable + symbol - 256;
    maps.in_order[static_cast<size_t>(place)] = static_cast<unsigned char>(byte);
  }
  return maps;
}

constexpr Maps kMaps = make_maps();

}  // namespace

std::string bytes_to_symbols(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    const int symbol = kMaps.symbol_of[static_cast<unsigned char>(c)];
    if (symbol < 0x80) {
      text += static_cast<char>(symbol);
    } else {
      text += static_cast<char>(0xC0 | (symbol >> 6));
      text += static_cast<char>(0x80 | (symbol & 0x3F));
    }
  }
  return text;
}

std::string symbols_to_bytes(std::string_view symbols) {
  std::string bytes;
  for (size_t n = 0; n < symbols.size(); ++n) {
    int symbol = static_cast<unsigned char>(symbols[n]);
    if (symbol >= 0x80) {
      if (symbol < 0xC0 || symbol >= 0xE0 || n + 1 == symbols.size()) return std::string(symbols);
      symbol = ((symbol & 0x1F) << 6) | (static_cast<unsigned char>(symbols[++n]) & 0x3F);
    }
    const size_t index = static_cast<size_t>(symbol);
    if (index >= kMaps.byte_of.size() || kMaps.byte_of[index] < 0) return std::string(symbols);
    bytes += static_cast<char>(kMaps.byte_of[index]);
  }
  return bytes;
}

std::array<unsigned char, 256> bytes_in_symbol_order() { return kMaps.in_order; }

}  // namespace cllm
