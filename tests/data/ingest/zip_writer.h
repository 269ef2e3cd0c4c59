#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace cllm::testing {

struct ZipEntry {
  std::string name, bytes;
  bool deflated = false;
};

/// A zip archive as `zip` writes it.
inline void write_zip(const std::filesystem::path& path, const std::vector<ZipEntry>& entries) {
  std::string out, directory;
  const auto put = [](std::string& to, uint64_t value, int bytes) {
    for (int n = 0; n < bytes; ++n) to += static_cast<char>(value >> (8 * n));
  };
  for (const ZipEntry& entry : entries) {
    std::string packed = entry.bytes;
    if (entry.deflated) {
      z_stream state{};
      deflateInit2(&state, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
      packed.resize(deflateBound(&state, entry.bytes.size()));
      state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(entry.bytes.data()));
      state.avail_in = static_cast<uInt>(entry.bytes.size());
      state.next_out = reinterpret_cast<Bytef*>(packed.data());
      state.avail_out = static_cast<uInt>(packed.size());
      deflate(&state, Z_FINISH);
      packed.resize(state.total_out);
      deflateEnd(&state);
    }
    const uint64_t offset = out.size();
    const auto put_common = [&](std::string& to) {
      put(to, 20, 2);
      put(to, 0, 2);
      put(to, entry.deflated ? 8 : 0, 2);
      put(to, 0, 4);
      put(to, crc32(0, reinterpret_cast<const Bytef*>(entry.bytes.data()), static_cast<uInt>(entry.bytes.size())), 4);
      put(to, packed.size(), 4);
      put(to, entry.bytes.size(), 4);
      put(to, entry.name.size(), 2);
      put(to, 0, 2);
    };
    out += "PK\x03\x04";
    put_common(out);
    out += entry.name + packed;
    directory += "PK\x01\x02";
    put(directory, 20, 2);
    put_common(directory);
    put(directory, 0, 2 + 2 + 2 + 4);
    put(directory, offset, 4);
    directory += entry.name;
  }
  const uint64_t start = out.size();
  out += directory + "PK\x05\x06";
  put(out, 0, 4);
  put(out, entries.size(), 2);
  put(out, entries.size(), 2);
  put(out, directory.size(), 4);
  put(out, start, 4);
  put(out, 0, 2);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << out;
}

}  // namespace cllm::testing
