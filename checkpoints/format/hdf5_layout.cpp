#include "checkpoints/format/hdf5_layout.h"

#include <c10/util/accumulate.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <utility>

#include "checkpoints/errors.h"
#include "checkpoints/format/dtype.h"
#include "checkpoints/format/hdf5_memory_driver.h"

namespace cllm {
namespace {

constexpr hsize_t kAlignment = 4096;

herr_t keep_first(unsigned, const H5E_error2_t* error, void* text) {
  if (static_cast<std::string*>(text)->empty() && error->desc != nullptr)
    *static_cast<std::string*>(text) = error->desc;
  return 0;
}

/// Returns `code` if HDF5 succeeded, else throws with the innermost message of its error stack.
template <typename Code>
Code check(Code code, const char* call) {
  if (code >= 0) return code;
  std::string reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &reason);
  throw CheckpointError(CheckpointError::kCannotSave,
                        std::string("cannot lay out a shard: HDF5 ") + call + ": " + reason);
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
  void close(const char* call) { check(closer_(std::exchange(id_, -1)), call); }

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

hid_t create_file(const Descriptor& image) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);  // per thread; errors are ours to report
  const H5FD_class_t memory = hdf5_memory_driver();
  const Handle driver(check(H5FDregister(&memory), "register driver"), H5FDunregister);  // lives as long as its file
  const Handle access(check(H5Pcreate(H5P_FILE_ACCESS), "file options"), H5Pclose);
  check(H5Pset_driver(access.get(), driver.get(), nullptr), "set driver");
  check(H5Pset_alignment(access.get(), kAlignment, kAlignment), "set alignment");
  return check(H5Fcreate(std::to_string(image.get()).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), "create file");
}

hid_t dataset_options() {
  const hid_t options = check(H5Pcreate(H5P_DATASET_CREATE), "dataset options");
  check(H5Pset_layout(options, H5D_CONTIGUOUS), "set layout");
  check(H5Pset_alloc_time(options, H5D_ALLOC_TIME_EARLY), "set allocation");
  check(H5Pset_fill_time(options, H5D_FILL_TIME_NEVER), "set fill");
  check(H5Pset_obj_track_times(options, false), "set times");
  return options;
}

void write_attribute(hid_t dataset, const char* name, int64_t value) {
  const Handle space(check(H5Screate(H5S_SCALAR), "create scalar"), H5Sclose);
  Handle attribute(
      check(H5Acreate2(dataset, name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT), "create attribute"),
      H5Aclose);
  check(H5Awrite(attribute.get(), H5T_STD_I64LE, &value), "write attribute");
  attribute.close("close attribute");
}

/// Returns the offset of the dataset's bytes.
int64_t add_dataset(hid_t file, hid_t options, const ShardPart& part) {
  if (find_dtype(part.type) == nullptr) {
    throw CheckpointError(CheckpointError::kCannotSave,
                          "tensor \"" + part.name + "\" has a dtype that checkpoints do not store");
  }
  const std::vector<hsize_t> sizes(part.sizes.begin(), part.sizes.end());
  const Handle space(check(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), "create shape"),
                     H5Sclose);
  const hid_t type = hdf5_type(part.type);
  Handle dataset(check(H5Dcreate2(file, part.name.c_str(), type, space.get(), H5P_DEFAULT, options, H5P_DEFAULT),
                       "create dataset"),
                 H5Dclose);
  write_attribute(dataset.get(), "first_row", part.first_row);
  write_attribute(dataset.get(), "global_rows", part.global_rows);
  const haddr_t offset = c10::multiply_integers(part.sizes) > 0 ? H5Dget_offset(dataset.get()) : 0;
  check(offset == HADDR_UNDEF ? -1 : 0, "find dataset");
  dataset.close("close dataset");
  return static_cast<int64_t>(offset);
}

}  // namespace

Hdf5Layout make_hdf5_layout(const std::vector<ShardPart>& parts) {
  Hdf5Layout layout{.image = Descriptor(::memfd_create("hdf5 layout", MFD_CLOEXEC)), .num_bytes = 0, .offsets = {}};
  if (layout.image.get() < 0)
    throw CheckpointError(CheckpointError::kCannotSave, "cannot lay out a shard: no memory file");
  Handle file(create_file(layout.image), H5Fclose);
  const Handle options(dataset_options(), H5Pclose);
  for (const ShardPart& part : parts) layout.offsets.push_back(add_dataset(file.get(), options.get(), part));
  file.close("close file");
  struct stat status {};
  ::fstat(layout.image.get(), &status);
  layout.num_bytes = status.st_size;
  return layout;
}

}  // namespace cllm
