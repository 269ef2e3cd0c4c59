#pragma once

#include <cstdint>
#include <vector>

#include "checkpoints/format/descriptor.h"
#include "checkpoints/format/shard_file.h"

namespace cllm {

/// An HDF5 file as it is on disk, but for the tensors' bytes: these are holes, at `offsets` in the order of the parts
/// (0 for an empty one). It lives in memory and is a few KB however large the tensors are.
struct Hdf5Layout {
  Descriptor image;
  int64_t num_bytes = 0;
  std::vector<int64_t> offsets;
};

/// One contiguous dataset per part under the tensor's name, with the attributes first_row and global_rows; data begins
/// at multiples of 4 KiB. Equal states give equal bytes. HDF5 itself never touches the disk: version 1.10 cannot close
/// a file whose last writes failed and crashes at exit, so a full disk must not happen to it. Throws
/// CheckpointError(74).
Hdf5Layout make_hdf5_layout(const std::vector<ShardPart>& parts);

}  // namespace cllm
