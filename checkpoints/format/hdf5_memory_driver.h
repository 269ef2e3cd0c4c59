#pragma once

// Private to checkpoints/*.cpp, because it includes <hdf5.h>.

#include <hdf5.h>

namespace cllm {

/// An HDF5 file driver whose files are memory files (memfd_create): sparse, so that space which HDF5 allocates and
/// never writes costs nothing, and never full. The "path" of a file is the number of its descriptor, which stays open
/// and the caller's.
H5FD_class_t hdf5_memory_driver();

}  // namespace cllm
