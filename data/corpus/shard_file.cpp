#include "data/corpus/shard_file.h"

#include <hdf5.h>

#include <bit>
#include <cstring>
#include <utility>

#include "data/errors.h"

namespace cllm {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are mapped as they are: little-endian");

constexpr uint64_t kAlignment =
    64;  // of every dataset in the file: mapped values are aligned, and start on a cache line

class Handle {
 public:
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), close_(closer) {}
  Handle(const Handle&) = delete;
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }
  bool valid() const { return id_ >= 0; }
  bool close() { return close_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

/// HDF5 prints about 70 lines per failure unless told otherwise; our one-line errors replace them.
class SilentErrors {
 public:
  SilentErrors() {
    // A damaged file can leave objects open inside the library; its exit handler would then print that it loops. Ours
    // are closed by RAII.
    [[maybe_unused]] static const bool once = (H5dont_atexit(), true);
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  SilentErrors(const SilentErrors&) = delete;
  ~SilentErrors() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

hid_t hdf5_type(ElementType type) {
  switch (type) {
    case ElementType::kUint8: return H5T_STD_U8LE;
    case ElementType::kInt32: return H5T_STD_I32LE;
    case ElementType::kFloat32: return H5T_IEEE_F32LE;
    default: return H5T_STD_I64LE;
  }
}

uint64_t size_of(ElementType type) { return type == ElementType::kUint8 ? 1 : type == ElementType::kInt64 ? 8 : 4; }

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& reason) {
  throw DataError(path.string() + ": " + reason);
}

void require(bool ok, const std::filesystem::path& path, const std::string& reason) {
  if (!ok) fail(path, reason);
}

void write_dataset(hid_t file, const DatasetView& view, const std::filesystem::path& path) {
  const hsize_t count = view.count;
  const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_layout(properties, H5D_CONTIGUOUS);
  H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
  H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
  H5Pset_obj_track_times(properties, false);
  Handle dataset(H5Dcreate2(file, view.name.c_str(), hdf5_type(view.type), space, H5P_DEFAULT, properties, H5P_DEFAULT),
                 H5Dclose);
  bool ok = dataset.valid();
  if (ok && count > 0) ok = H5Dwrite(dataset, hdf5_type(view.type), H5S_ALL, H5S_ALL, H5P_DEFAULT, view.data) >= 0;
  ok = ok && dataset.close();  // a full disk may show only here
  require(ok, path, "cannot write dataset '" + view.name + "' (disk full?)");
}

/// HDF5 reads many older and optional structures, most of them without checksums; damage there has made it loop or
/// crash. So it sees only files that begin as write_shard begins them: superblock version 3 at byte 0, 8-byte addresses
/// from 0, no extension, the end of the file where it is, and a root group with a checksummed header ("HDF5 File Format
/// Specification Version 3.0", II.A).
bool begins_as_written(std::span<const std::byte> file) {
  constexpr size_t kBytes = 48;
  constexpr uint64_t kUndefined = ~uint64_t{0};
  if (file.size() < kBytes || std::memcmp(file.data(), "\x89HDF\r\n\x1a\n\x03\x08\x08\x00", 12) != 0) return false;
  uint64_t base = 0, extension = 0, end = 0, root = 0;
  size_t at = 12;
  for (uint64_t* address : {&base, &extension, &end, &root}) {
    std::memcpy(address, file.data() + at, sizeof(uint64_t));
    at += sizeof(uint64_t);
  }
  return base == 0 && extension == kUndefined && end == file.size() && root <= file.size() - 4 &&
         std::memcmp(file.data() + root, "OHDR", 4) == 0;
}

/// Offset and count of a dataset, after every check that its header allows.
std::pair<uint64_t, uint64_t> locate(hid_t file, const DatasetSpec& spec, uint64_t file_bytes,
                                     const std::filesystem::path& path) {
  const std::string where = "dataset '" + spec.name + "' ";
  H5L_info_t link;  // a link to another file is no dataset of this one
  require(H5Lget_info(file, spec.name.c_str(), &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD, path,
          where + "is missing or damaged");
  const Handle dataset(H5Dopen2(file, spec.name.c_str(), H5P_DEFAULT), H5Dclose);
  require(dataset.valid(), path, where + "is missing or damaged");
  const Handle type(H5Dget_type(dataset), H5Tclose);
  require(type.valid() && H5Tequal(type, hdf5_type(spec.type)) > 0, path, where + "has the wrong element type");
  const Handle space(H5Dget_space(dataset), H5Sclose);
  hsize_t count = 0;
  require(
      space.valid() && H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_dims(space, &count, nullptr) == 1,
      path, where + "is not one-dimensional");
  if (spec.count && count != *spec.count) {
    fail(path, where + "has " + std::to_string(count) + " elements, the manifest says " + std::to_string(*spec.count));
  }
  if (count == 0) return {0, 0};
  const Handle properties(H5Dget_create_plist(dataset), H5Pclose);
  require(properties.valid() && H5Pget_layout(properties) == H5D_CONTIGUOUS && H5Pget_external_count(properties) == 0,
          path, where + "is not contiguous");
  const haddr_t offset = H5Dget_offset(dataset);
  const uint64_t bytes = size_of(spec.type);
  require(offset != HADDR_UNDEF && offset <= file_bytes && count <= (file_bytes - offset) / bytes, path,
          where + "reaches beyond the file");
  require(offset % bytes == 0, path, where + "is not aligned");
  return {offset, count};
}

}  // namespace

void write_shard(const std::filesystem::path& path, std::span<const DatasetView> datasets) {
  const SilentErrors silent;
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  const Handle creation(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);  // every header carries a checksum
  H5Pset_alignment(access, 1, kAlignment);
  H5Pset_obj_track_times(creation, false);
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation, access), H5Fclose);
  require(file.valid(), path, "cannot create (no permission, or it exists?)");
  for (const DatasetView& view : datasets) write_dataset(file, view, path);
  require(file.close(), path, "cannot close (disk full?)");
}

ShardFile ShardFile::open(const std::filesystem::path& path, uint64_t expected_bytes,
                          std::span<const DatasetSpec> specs) {
  const SilentErrors silent;
  ShardFile shard;
  shard.file_ = MappedFile(path);
  const uint64_t file_bytes = shard.file_.bytes().size();
  if (file_bytes != expected_bytes) {
    fail(path, std::to_string(file_bytes) + " bytes, the manifest says " + std::to_string(expected_bytes) +
                   "; copy the corpus again");
  }
  require(begins_as_written(shard.file_.bytes()), path,
          "not an HDF5 file of a corpus, or damaged; copy the corpus again");
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_file_locking(access, false, true);  // corpora lie on read-only and network file systems
  const Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access), H5Fclose);
  require(file.valid(), path, "damaged; copy the corpus again");
  for (const DatasetSpec& spec : specs) {
    const auto [offset, count] = locate(file, spec, file_bytes, path);
    shard.places_[spec.name] = {offset, count};
  }
  return shard;
}

}  // namespace cllm
