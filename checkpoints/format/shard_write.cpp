#include <c10/util/accumulate.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <map>

#include "checkpoints/errors.h"
#include "checkpoints/format/dtype.h"
#include "checkpoints/format/hdf5_layout.h"
#include "checkpoints/format/shard_file.h"

namespace cllm {
namespace {

constexpr int64_t kWritebackBytes = int64_t{32}
                                    << 20;  // the disk starts on what was written, while the rest is written

struct HashStateDeleter {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

/// A file written from front to back, with a checksum per block.
class ShardStream {
 public:
  ShardStream(Files& files, const std::filesystem::path& path)
      : files_(files), path_(path), file_(files.create_file(path)), hash_(XXH3_createState()) {
    XXH3_64bits_reset(hash_.get());
  }

  int64_t num_bytes() const { return num_bytes_; }

  void append(const std::byte* data, int64_t count) {
    while (count > 0) {
      const int64_t piece = std::min(count, kBlockBytes - num_bytes_ % kBlockBytes);
      files_.append(file_, path_, {reinterpret_cast<const char*>(data), static_cast<size_t>(piece)});
      XXH3_64bits_update(hash_.get(), data, static_cast<size_t>(piece));
      num_bytes_ += piece;
      if (num_bytes_ % kBlockBytes == 0) end_block();
      if (num_bytes_ % kWritebackBytes == 0) files_.start_writeback(file_);
      data += piece;
      count -= piece;
    }
  }

  /// The rest of a file in memory, up to `end`.
  void append_image(const Descriptor& image, int64_t end) {
    std::vector<std::byte> buffer(static_cast<size_t>(end - num_bytes_));
    if (::pread(image.get(), buffer.data(), buffer.size(), num_bytes_) != static_cast<ssize_t>(buffer.size())) {
      throw CheckpointError(CheckpointError::kCannotSave, path_.string() + ": its HDF5 layout is shorter than it says");
    }
    append(buffer.data(), static_cast<int64_t>(buffer.size()));
  }

  ShardEntry finish() {
    if (num_bytes_ % kBlockBytes != 0) end_block();
    files_.sync_file(path_);
    return {path_.filename(), num_bytes_, std::move(block_sums_)};
  }

 private:
  void end_block() {
    block_sums_.push_back(XXH3_64bits_digest(hash_.get()));
    XXH3_64bits_reset(hash_.get());
  }

  Files& files_;
  std::filesystem::path path_;
  Descriptor file_;
  std::unique_ptr<XXH3_state_t, HashStateDeleter> hash_;
  std::vector<uint64_t> block_sums_;
  int64_t num_bytes_ = 0;
};

TensorEntry entry_of(const ShardPart& part, int64_t offset) {
  std::vector<int64_t> shape = part.sizes;
  shape[0] = part.global_rows;
  return {part.name,
          std::string(find_dtype(part.type)->name),
          shape,
          {{.shard = 0, .first_row = part.first_row, .rows = part.sizes[0], .offset = offset}}};
}

/// Writes the file; `offsets` of the parts' bytes.
ShardEntry write_parts(Files& files, const std::filesystem::path& path, const std::vector<ShardPart>& parts,
                       std::vector<int64_t>& offsets) {
  const Hdf5Layout layout = make_hdf5_layout(parts);
  std::vector<size_t> order;  // of the parts' bytes in the file; HDF5 may put a small one into an earlier gap
  for (size_t n = 0; n < parts.size(); ++n) {
    if (c10::multiply_integers(parts[n].sizes) > 0) order.push_back(n);
  }
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return layout.offsets[a] < layout.offsets[b]; });

  ShardStream stream(files, path);
  for (const size_t n : order) {
    stream.append_image(layout.image, layout.offsets[n]);
    parts[n].produce([&](const std::byte* data, int64_t num_bytes) { stream.append(data, num_bytes); });
  }
  stream.append_image(layout.image, layout.num_bytes);
  offsets = layout.offsets;
  return stream.finish();
}

}  // namespace

ShardPart part_of(const ShardedTensor& tensor) {
  const auto produce = [rows = tensor.rows](const ShardPart::Append& append) {
    const at::Tensor host = rows.contiguous().cpu();
    append(static_cast<const std::byte*>(host.const_data_ptr()), static_cast<int64_t>(host.nbytes()));
  };
  return {tensor.name,        tensor.rows.scalar_type(), tensor.rows.sizes().vec(),
          tensor.global_rows, tensor.first_row,          produce};
}

ShardRecord write_shard(Files& files, const std::filesystem::path& path, const std::vector<ShardedTensor>& tensors) {
  std::vector<ShardPart> parts;
  for (const ShardedTensor& tensor : tensors) parts.push_back(part_of(tensor));
  return write_shard(files, path, parts);
}

ShardRecord write_shard(Files& files, const std::filesystem::path& path, const std::vector<ShardPart>& parts) {
  std::vector<int64_t> offsets;
  ShardRecord record{write_parts(files, path, parts, offsets), {}};
  for (size_t n = 0; n < parts.size(); ++n) record.tensors.push_back(entry_of(parts[n], offsets[n]));
  return record;
}

ShardRecord write_changes(Files& files, const std::filesystem::path& path, const std::vector<ShardedTensor>& tensors) {
  std::vector<ShardPart> parts;
  std::vector<std::pair<size_t, size_t>> places;  // of every tensor: which parts are its rows and their numbers
  std::map<const c10::TensorImpl*, size_t> numbers_parts;  // tensors share their numbers
  for (const ShardedTensor& tensor : tensors) {
    const auto [known, first_use] = numbers_parts.try_emplace(tensor.row_numbers.unsafeGetTensorImpl(), parts.size());
    if (first_use)
      parts.push_back(
          part_of({"rows." + std::to_string(numbers_parts.size() - 1), tensor.global_rows, 0, tensor.row_numbers}));
    places.emplace_back(parts.size(), known->second);
    parts.push_back(part_of(tensor));
  }
  std::vector<int64_t> offsets;
  ShardRecord record{write_parts(files, path, parts, offsets), {}};
  for (const auto& [rows, numbers] : places) {
    TensorEntry entry = entry_of(parts[rows], 0);
    entry.parts.clear();
    entry.patches.push_back(
        {.shard = 0, .rows = parts[rows].sizes[0], .offset = offsets[rows], .rows_offset = offsets[numbers]});
    record.tensors.push_back(std::move(entry));
  }
  return record;
}

}  // namespace cllm
