#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

namespace cllm {

/// A file is what its first bytes say, whatever its name: these many tell all kinds that are known.
constexpr size_t kBytesThatTell = 512;

enum class Packing { kNone, kGzip, kZstd };
Packing packing_of(std::string_view first);

/// DataError with what it is and what to do: an archive, a workbook, a web page, a picture of other programs' memory.
void refuse_what_is_no_text(std::string_view first, const std::filesystem::path& path);

}  // namespace cllm
