#pragma once

#include <cstdint>
#include <string>

namespace cllm {

/// 2018-07-07, of seconds since 1970.
std::string day_of(int64_t seconds);

/// 20180704, of 1970 to 2069?
bool is_written_day(int64_t number);

}  // namespace cllm
