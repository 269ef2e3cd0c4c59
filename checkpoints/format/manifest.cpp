#include "checkpoints/format/manifest.h"

#include <xxhash.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <set>
#include <utility>

#include "checkpoints/errors.h"
#include "checkpoints/format/dtype.h"

namespace cllm {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "cllm4rec checkpoint";
constexpr int kMaxDepth = 64;  // the checksum is that of the printed text, and printing recurses

std::string to_hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

uint64_t from_hex(const std::string& text) {
  if (text.size() != 16 || text.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw std::runtime_error("bad checksum text");
  return std::stoull(text, nullptr, 16);
}

std::string file_text(const json& document) { return document.dump(1) + "\n"; }

std::string hash_text(const std::string& text) { return to_hex(XXH3_64bits(text.data(), text.size())); }

json to_json(const ShardEntry& shard) {
  std::string sums;
  for (const uint64_t sum : shard.block_sums) sums += to_hex(sum);
  return {{"file", shard.file}, {"bytes", shard.num_bytes}, {"xxh3", sums}};
}

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

/// A number that T holds; the JSON library would cast 2.5 or 1e30 to whatever comes.
template <class T = int64_t>
T whole_number(const json& value) {
  const bool fits = value.is_number_unsigned() ? std::in_range<T>(value.get<uint64_t>())
                                               : value.is_number_integer() && std::in_range<T>(value.get<int64_t>());
  require(fits, "expected a whole number, found " + value.dump());
  return value.get<T>();
}

ShardEntry shard_of(const json& value) {
  ShardEntry shard;
  shard.file = value.at("file");
  shard.num_bytes = whole_number(value.at("bytes"));
  const std::string sums = value.at("xxh3");
  for (size_t n = 0; n < sums.size(); n += 16) shard.block_sums.push_back(from_hex(sums.substr(n, 16)));
  return shard;
}

json to_json(const TensorEntry& tensor) {
  json parts = json::array();
  for (const TensorPart& part : tensor.parts) {
    parts.push_back(
        {{"shard", part.shard}, {"first_row", part.first_row}, {"rows", part.rows}, {"offset", part.offset}});
  }
  json value = {{"name", tensor.name}, {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"parts", parts}};
  for (const TensorPatch& patch : tensor.patches) {
    value["patches"].push_back(
        {{"shard", patch.shard}, {"rows", patch.rows}, {"offset", patch.offset}, {"rows_offset", patch.rows_offset}});
  }
  return value;
}

TensorEntry tensor_of(const json& value) {
  TensorEntry tensor;
  tensor.name = value.at("name");
  tensor.dtype = value.at("dtype");
  for (const json& size : value.at("shape")) tensor.shape.push_back(whole_number(size));
  for (const json& part : value.at("parts")) {
    tensor.parts.push_back({whole_number<int>(part.at("shard")), whole_number(part.at("first_row")),
                            whole_number(part.at("rows")), whole_number(part.at("offset"))});
  }
  if (value.contains("patches")) {
    for (const json& patch : value["patches"]) {
      tensor.patches.push_back({whole_number<int>(patch.at("shard")), whole_number(patch.at("rows")),
                                whole_number(patch.at("offset")), whole_number(patch.at("rows_offset"))});
    }
  }
  return tensor;
}

template <typename Value>
json array_of(const std::vector<Value>& values) {
  json array = json::array();
  for (const Value& value : values) array.push_back(to_json(value));
  return array;
}

/// A product of file values that cannot overflow unnoticed.
int64_t checked_product(int64_t a, int64_t b, const std::string& what) {
  int64_t product = 0;
  require(a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, &product), what + " is out of range");
  return product;
}

void check_tensor(const TensorEntry& tensor, const std::vector<ShardEntry>& shards) {
  const std::string what = "tensor \"" + tensor.name + "\"";
  require(find_dtype(tensor.dtype) != nullptr, what + " has the unknown dtype \"" + tensor.dtype + "\"");
  require(!tensor.shape.empty(), what + " has no dimension");
  int64_t num_bytes = find_dtype(tensor.dtype)->num_bytes;
  for (const int64_t size : tensor.shape) num_bytes = checked_product(num_bytes, size, what + ": shape");
  int64_t next_row = 0;
  for (const TensorPart& part : tensor.parts) {
    require(part.shard >= 0 && part.shard < static_cast<int64_t>(shards.size()),
            what + " names a shard that is not listed");
    require(part.first_row == next_row && part.rows >= 0 && part.rows <= tensor.shape[0] - next_row,
            what + ": the parts must cover its " + std::to_string(tensor.shape[0]) +
                " rows once and in order; the part of " + std::to_string(part.rows) + " rows at row " +
                std::to_string(part.first_row) + " should begin at row " + std::to_string(next_row));
    next_row += part.rows;
    const int64_t part_bytes = checked_product(part.rows, tensor.row_bytes(), what + ": part");
    const int64_t shard_bytes = shards[part.shard].num_bytes;
    require(part.offset >= 0 && part_bytes <= shard_bytes && part.offset <= shard_bytes - part_bytes,
            what + " lies outside its shard");
  }
  for (const TensorPatch& patch : tensor.patches) {
    require(patch.shard >= 0 && patch.shard < static_cast<int64_t>(shards.size()),
            what + " has a patch in a shard that is not listed");
    require(patch.rows >= 0 && patch.rows <= tensor.shape[0], what + " has a patch of more rows than it has itself");
    const int64_t shard_bytes = shards[patch.shard].num_bytes;
    const auto inside = [&](int64_t offset, int64_t bytes) {
      return offset >= 0 && bytes <= shard_bytes && offset <= shard_bytes - bytes;
    };
    require(inside(patch.offset, checked_product(patch.rows, tensor.row_bytes(), what + ": patch")) &&
                inside(patch.rows_offset, checked_product(patch.rows, 8, what + ": patch")),
            what + " has a patch outside its shard");
  }
  require(next_row == tensor.shape[0],
          what + " has " + std::to_string(tensor.shape[0]) + " rows, its parts cover " + std::to_string(next_row));
}

void check(const Manifest& manifest) {
  require(manifest.step >= 0, "negative step");
  require(manifest.whole_step >= -1 && manifest.whole_step <= manifest.step, "whole_step must be an earlier step");
  require(!manifest.shards.empty(), "no shards");
  for (const ShardEntry& shard : manifest.shards) {
    require(shard.num_bytes >= 0 && shard.file.find('/') == std::string::npos && !shard.file.empty() &&
                shard.file[0] != '.',
            "bad shard entry \"" + shard.file + "\"");
    const int64_t num_blocks = shard.num_bytes / kBlockBytes + (shard.num_bytes % kBlockBytes != 0);
    require(num_blocks == static_cast<int64_t>(shard.block_sums.size()),
            shard.file + ": number of checksums does not fit its size");
  }
  std::set<std::string> names;
  for (const TensorEntry& tensor : manifest.tensors) {
    require(names.insert(tensor.name).second, "tensor \"" + tensor.name + "\" is listed twice");
    check_tensor(tensor, manifest.shards);
  }
}

}  // namespace

int64_t TensorEntry::row_bytes() const {
  int64_t num_bytes = find_dtype(dtype)->num_bytes;
  for (size_t n = 1; n < shape.size(); ++n) num_bytes *= shape[n];
  return num_bytes;
}

std::string to_text(const ShardRecord& record) {
  return json{{"shard", to_json(record.shard)}, {"tensors", array_of(record.tensors)}}.dump();
}

Manifest assemble_manifest(std::span<const std::string> records) {
  Manifest manifest;
  try {
    for (const std::string& text : records) {
      const json record = json::parse(text);
      const int rank = static_cast<int>(manifest.shards.size());
      manifest.shards.push_back(shard_of(record.at("shard")));
      size_t position = 0;
      for (const json& value : record.at("tensors")) {
        TensorEntry tensor = tensor_of(value);
        tensor.parts.at(0).shard = rank;
        if (rank == 0) {
          manifest.tensors.push_back(std::move(tensor));
          continue;
        }
        TensorEntry& known = manifest.tensors.at(position++);
        require(tensor.name == known.name && tensor.dtype == known.dtype && tensor.shape == known.shape,
                "rank " + std::to_string(rank) + " saves \"" + tensor.name + "\" where rank 0 saves \"" + known.name +
                    "\", or its dtype or shape differs");
        known.parts.push_back(tensor.parts[0]);
      }
      require(rank == 0 || position == manifest.tensors.size(),
              "rank " + std::to_string(rank) + " saves fewer tensors than rank 0");
    }
    check(manifest);
  } catch (const std::exception& error) {
    throw CheckpointError(CheckpointError::kCannotSave,
                          std::string("the ranks' parts make no checkpoint: ") + error.what());
  }
  return manifest;
}

size_t num_whole_shards(const Manifest& manifest) {
  int last = -1;
  for (const TensorEntry& tensor : manifest.tensors) {
    for (const TensorPart& part : tensor.parts) last = std::max(last, part.shard);
  }
  return manifest.tensors.empty() ? manifest.shards.size() : static_cast<size_t>(last + 1);
}

Manifest assemble_manifest(const Manifest& base, std::span<const std::string> records) {
  Manifest manifest = base;
  manifest.whole_step = base.incremental() ? base.whole_step : base.step;
  manifest.shards.resize(num_whole_shards(base));
  for (TensorEntry& tensor : manifest.tensors) tensor.patches.clear();
  try {
    for (const std::string& text : records) {
      const json record = json::parse(text);
      const int shard = static_cast<int>(manifest.shards.size());
      manifest.shards.push_back(shard_of(record.at("shard")));
      require(record.at("tensors").size() == manifest.tensors.size(), "other tensors than in the whole save");
      for (size_t n = 0; n < manifest.tensors.size(); ++n) {
        const TensorEntry changed = tensor_of(record.at("tensors")[n]);
        TensorEntry& tensor = manifest.tensors[n];
        require(changed.name == tensor.name && changed.dtype == tensor.dtype && changed.shape == tensor.shape,
                "\"" + changed.name + "\" stands where the whole save has \"" + tensor.name +
                    "\", or its dtype or shape differs");
        for (TensorPatch patch : changed.patches) {
          patch.shard = shard;
          tensor.patches.push_back(patch);
        }
      }
    }
    check(manifest);
  } catch (const std::exception& error) {
    throw CheckpointError(CheckpointError::kCannotSave,
                          std::string("the ranks' changes make no checkpoint: ") + error.what());
  }
  return manifest;
}

std::string to_text(const Manifest& manifest) {
  json document = {{"format", kFormat},
                   {"version", kManifestVersion},
                   {"run_id", manifest.run_id},
                   {"step", manifest.step},
                   {"block_bytes", kBlockBytes},
                   {"metadata", json::parse(manifest.metadata_json)},
                   {"tensors", array_of(manifest.tensors)},
                   {"shards", array_of(manifest.shards)}};
  if (manifest.incremental()) document["whole_step"] = manifest.whole_step;
  document["checksum"] = hash_text(document.dump());
  return file_text(document);
}

Manifest parse_manifest(const std::string& text, const std::string& where) {
  try {
    json document = json::parse(text, [](int depth, json::parse_event_t, json&) {
      require(depth <= kMaxDepth, "nested too deeply for a manifest");
      return true;
    });
    require(document.at("format") == kFormat, "this is not a cllm4rec checkpoint");
    const auto version = whole_number(document.at("version"));
    require(version >= kOldestManifestVersion && version <= kManifestVersion,
            "format version " + std::to_string(version) + ", this program reads " +
                std::to_string(kOldestManifestVersion) + " to " + std::to_string(kManifestVersion));
    const bool canonical = file_text(document) == text;
    const std::string stored = document.at("checksum");
    document.erase("checksum");
    const std::string computed = hash_text(document.dump());
    require(stored == computed, "expected checksum " + stored + ", found " + computed + ": the file was changed");
    require(
        canonical,
        "expected the text that this program writes, found other blanks, order or repeated keys: the file was changed");
    require(document.at("block_bytes") == kBlockBytes, "block_bytes must be " + std::to_string(kBlockBytes));
    Manifest manifest;
    manifest.run_id = document.at("run_id");
    manifest.step = whole_number(document.at("step"));
    manifest.whole_step = whole_number(document.value("whole_step", json(-1)));
    manifest.metadata_json = document.at("metadata").dump();
    for (const json& value : document.at("tensors")) manifest.tensors.push_back(tensor_of(value));
    for (const json& value : document.at("shards")) manifest.shards.push_back(shard_of(value));
    check(manifest);
    return manifest;
  } catch (const std::exception& error) {
    throw CheckpointError(CheckpointError::kUnusable, where + ": " + error.what());
  }
}

}  // namespace cllm
