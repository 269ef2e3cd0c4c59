#include "checkpoints/format/shard_file.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros_like.h>

#include <gtest/gtest.h>
#include <hdf5.h>

#include "tests/support/checkpoint_state.h"

namespace cllm::testing {
namespace {

int64_t read_attribute(hid_t dataset, const char* name) {
  int64_t value = -1;
  const hid_t attribute = H5Aopen(dataset, name, H5P_DEFAULT);
  H5Aread(attribute, H5T_NATIVE_INT64, &value);
  H5Aclose(attribute);
  return value;
}

TEST(ShardFile, IsAnOrdinaryHdf5File) {
  const ScratchFolder folder("hdf5");
  const TrainState state = make_state(3, 1, 2);
  Files files;
  const ShardRecord record = write_shard(files, folder.path() / "shard.h5", state.tensors);
  EXPECT_EQ(record.shard.num_bytes, static_cast<int64_t>(std::filesystem::file_size(folder.path() / "shard.h5")));

  const hid_t file = H5Fopen((folder.path() / "shard.h5").c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  ASSERT_GE(file, 0);
  for (const ShardedTensor& tensor : state.tensors) {
    const hid_t dataset = H5Dopen2(file, tensor.name.c_str(), H5P_DEFAULT);
    ASSERT_GE(dataset, 0) << tensor.name;
    EXPECT_EQ(read_attribute(dataset, "first_row"), tensor.first_row);
    EXPECT_EQ(read_attribute(dataset, "global_rows"), tensor.global_rows);
    at::Tensor found = at::zeros_like(tensor.rows);
    const hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    EXPECT_EQ(H5Sget_simple_extent_npoints(space), tensor.rows.numel());
    EXPECT_GE(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, found.mutable_data_ptr()), 0);
    EXPECT_TRUE(at::equal(found, tensor.rows)) << tensor.name;
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
  }
  H5Fclose(file);
}

TEST(ShardFile, ReaderGivesAnyRangeOfBytesAcrossBlocks) {
  const ScratchFolder folder("ranges");
  const at::Tensor table = stored_rows(1, 0, 0, 300000, 8, at::kFloat);  // 9.6 MB, three blocks
  Files files;
  const ShardRecord record = write_shard(files, folder.path() / "shard.h5", {{"table", 300000, 0, table}});
  ShardReader reader(folder.path(), record.shard);
  const int64_t offset = record.tensors[0].parts[0].offset;
  const auto* expected = static_cast<const std::byte*>(table.const_data_ptr());
  const int64_t total = static_cast<int64_t>(table.nbytes());
  for (const auto& [begin, size] : std::vector<std::pair<int64_t, int64_t>>{{0, total},
                                                                            {0, 1},
                                                                            {total - 1, 1},
                                                                            {kBlockBytes - offset - 1, 2},
                                                                            {kBlockBytes - offset, kBlockBytes},
                                                                            {5, 2 * kBlockBytes},
                                                                            {7, 0}}) {
    std::vector<std::byte> found(static_cast<size_t>(size));
    reader.read(offset + begin, size, found.data());
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected + begin)) << size << " bytes from " << begin;
  }
}

}  // namespace
}  // namespace cllm::testing
