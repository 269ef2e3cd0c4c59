#pragma once

#include <array>
#include <string>
#include <string_view>

namespace cllm {

/// GPT-2's printable stand-ins for bytes: 0x20 is written as U+0120 and so on.
std::string bytes_to_symbols(std::string_view bytes);
/// The bytes of a text of stand-ins; a text with any other character (an added token such as "<|é|>" or "a b") is
/// returned as it is.
std::string symbols_to_bytes(std::string_view symbols);
/// The 256 bytes in the order of their stand-ins' code points, which is the order of GPT-2's first 256 ids.
std::array<unsigned char, 256> bytes_in_symbol_order();

}  // namespace cllm
