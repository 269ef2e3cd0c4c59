#include <hdf5.h>

#include <utility>

#include "checkpoints/dtype.h"
#include "checkpoints/errors.h"
#include "checkpoints/shard_file.h"

namespace cllm {
namespace {

constexpr hsize_t kAlignment = 4096;  // of data in the file, so that a block of rows is whole pages

herr_t keep_first(unsigned, const H5E_error2_t* error, void* text) {
  if (static_cast<std::string*>(text)->empty() && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

/// Returns `code` if HDF5 succeeded, else throws with the innermost message of its error stack (which holds errno).
template <typename Code>
Code check(Code code, const char* call, const std::filesystem::path& path) {
  if (code >= 0) return code;
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  throw CheckpointError(CheckpointError::kCannotSave, std::string("cannot save: ") + call + " on " + path.string() + ": " + reason);
}

class Handle {
 public:
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), closer_(closer) {}
  ~Handle() {
    if (id_ >= 0) closer_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  hid_t get() const { return id_; }
  /// Closing writes: a full disk may show here.
  herr_t close() { return closer_(std::exchange(id_, -1)); }

 private:
  hid_t id_;
  herr_t (*closer_)(hid_t);
};

hid_t hdf5_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return H5T_IEEE_F32LE;
    case at::kDouble: return H5T_IEEE_F64LE;
    case at::kBFloat16:
    case at::kHalf: return H5T_STD_U16LE;  // HDF5 1.10 knows neither: their bits
    case at::kLong: return H5T_STD_I64LE;
    case at::kInt: return H5T_STD_I32LE;
    case at::kShort: return H5T_STD_I16LE;
    case at::kChar: return H5T_STD_I8LE;
    default: return H5T_STD_U8LE;
  }
}

/// Writes one dataset and returns its place in the file.
class ShardWriter {
 public:
  explicit ShardWriter(const std::filesystem::path& path)
      : path_(path), file_(create(path), H5Fclose), dataset_options_(H5Pcreate(H5P_DATASET_CREATE), H5Pclose) {
    const hid_t options = dataset_options_.get();
    check(H5Pset_layout(options, H5D_CONTIGUOUS), "set layout", path_);
    check(H5Pset_alloc_time(options, H5D_ALLOC_TIME_EARLY), "set allocation", path_);
    check(H5Pset_fill_time(options, H5D_FILL_TIME_NEVER), "set fill", path_);
    check(H5Pset_obj_track_times(options, false), "set times", path_);  // equal states make equal files
  }

  TensorEntry write(const ShardedTensor& tensor) {
    const at::Tensor host = tensor.rows.contiguous().cpu();
    const DtypeName* dtype = find_dtype(host.scalar_type());
    if (dtype == nullptr) {
      throw CheckpointError(CheckpointError::kCannotSave, "tensor \"" + tensor.name + "\" has a dtype that checkpoints do not store");
    }
    const std::vector<hsize_t> sizes(host.sizes().begin(), host.sizes().end());
    const Handle space(check(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), "describe", path_), H5Sclose);
    const hid_t type = hdf5_type(host.scalar_type());
    Handle dataset(check(H5Dcreate2(file_.get(), tensor.name.c_str(), type, space.get(), H5P_DEFAULT, dataset_options_.get(), H5P_DEFAULT),
                         "create dataset", path_),
                   H5Dclose);
    if (host.numel() > 0) check(H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, host.const_data_ptr()), "write", path_);
    write_attribute(dataset.get(), "first_row", tensor.first_row);
    write_attribute(dataset.get(), "global_rows", tensor.global_rows);
    const haddr_t offset = host.numel() > 0 ? H5Dget_offset(dataset.get()) : 0;
    if (offset == HADDR_UNDEF) check(-1, "locate dataset", path_);
    check(dataset.close(), "close dataset", path_);

    std::vector<int64_t> shape = host.sizes().vec();
    shape[0] = tensor.global_rows;
    return {tensor.name, std::string(dtype->name), shape, {{0, tensor.first_row, host.size(0), static_cast<int64_t>(offset)}}};
  }

  void close() { check(file_.close(), "close", path_); }

 private:
  static hid_t create(const std::filesystem::path& path) {
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // per thread; errors are ours to report
    const Handle access(check(H5Pcreate(H5P_FILE_ACCESS), "prepare", path), H5Pclose);
    check(H5Pset_alignment(access.get(), kAlignment, kAlignment), "set alignment", path);
    check(H5Pset_file_locking(access.get(), false, true), "set locking", path);  // nobody else knows this file yet
    return check(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), "create", path);
  }

  void write_attribute(hid_t dataset, const char* name, int64_t value) {
    const Handle space(check(H5Screate(H5S_SCALAR), "describe", path_), H5Sclose);
    Handle attribute(check(H5Acreate2(dataset, name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), "create attribute", path_), H5Aclose);
    check(H5Awrite(attribute.get(), H5T_STD_I64LE, &value), "write attribute", path_);
    check(attribute.close(), "close attribute", path_);
  }

  std::filesystem::path path_;
  Handle file_;
  Handle dataset_options_;
};

}  // namespace

ShardRecord write_shard(Files& files, const std::filesystem::path& path, const std::vector<ShardedTensor>& tensors) {
  ShardRecord record;
  ShardWriter writer(path);
  for (const ShardedTensor& tensor : tensors) record.tensors.push_back(writer.write(tensor));
  writer.close();
  files.start_writeback(path);  // the disk works while the blocks are hashed
  record.shard.file = path.filename();
  record.shard.num_bytes = static_cast<int64_t>(std::filesystem::file_size(path));
  record.shard.block_sums = hash_blocks(path, record.shard.num_bytes);
  files.sync_file(path);
  return record;
}

}  // namespace cllm
