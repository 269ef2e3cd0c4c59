#pragma once

#include <string>
#include <string_view>

namespace cllm {

/// One line of Python literals, as many public files are made of ({u'asin': '1', 'price': None}), as JSON: both kinds
/// of quotes and prefixes (u, r, b), all escapes, None, True, False, tuples and long integers. JSON with NaN or
/// Infinity, which Python's json module writes, is taken as well; they become null. The bytes of a str without prefix,
/// \xc3\xa9, are characters where they are UTF-8 (Python 2), else Latin-1 (Python 3). What is no such literal comes out
/// as no JSON.
std::string python_literal_to_json(std::string_view text);

}  // namespace cllm
