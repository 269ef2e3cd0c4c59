#include "checkpoints/compare.h"

#include <ATen/ops/from_blob.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <set>

#include "checkpoints/format/dtype.h"
#include "checkpoints/row_reader.h"

namespace cllm {
namespace {

/// Calls `use` with consecutive pieces of the tensor: number of the first row, rows.
void for_pieces(const TensorEntry& tensor, const std::function<void(int64_t, int64_t)>& use) {
  const int64_t step = rows_at_a_time(tensor);
  for (int64_t row = 0; row < tensor.shape[0]; row += step) use(row, std::min(step, tensor.shape[0] - row));
}

double largest_difference(const TensorEntry& tensor, std::byte* one, std::byte* other, int64_t num_bytes) {
  const DtypeName& dtype = *find_dtype(tensor.dtype);
  const int64_t count = num_bytes / dtype.num_bytes;
  if (count == 0) return 0;
  const at::Tensor a = at::from_blob(one, {count}, at::TensorOptions().dtype(dtype.type)).to(at::kDouble);
  const at::Tensor b = at::from_blob(other, {count}, at::TensorOptions().dtype(dtype.type)).to(at::kDouble);
  return a.sub(b).abs().masked_fill_(a.eq(b), 0).max().item<double>();  // equal infinities differ by 0; max() keeps NaN
}

double larger(double a, double b) { return a > b || a != a ? a : b; }

void compare_rows(RowReader& one, RowReader& other, const TensorEntry& a, const TensorEntry& b, TensorDifference& out) {
  const int64_t row_bytes = a.row_bytes();
  std::vector<std::byte> left, right;
  for_pieces(a, [&](int64_t first, int64_t rows) {
    left.resize(static_cast<size_t>(rows * row_bytes));
    right.resize(left.size());
    one.read(a, first, rows, left.data());
    other.read(b, first, rows, right.data());
    if (std::memcmp(left.data(), right.data(), left.size()) == 0) return;
    for (int64_t row = 0; row < rows; ++row) {
      out.changed += std::memcmp(left.data() + row * row_bytes, right.data() + row * row_bytes,
                                 static_cast<size_t>(row_bytes)) != 0;
    }
    out.largest = larger(largest_difference(a, left.data(), right.data(), rows * row_bytes), out.largest);
  });
}

}  // namespace

std::vector<TensorDifference> compare_checkpoints(const CheckpointInfo& first, const CheckpointInfo& second) {
  std::set<std::string> names;
  for (const CheckpointInfo* info : {&first, &second}) {
    for (const TensorEntry& tensor : info->manifest->tensors) names.insert(tensor.name);
  }
  RowReader one(first), other(second);
  std::vector<TensorDifference> out;
  for (const std::string& name : names) {
    const TensorEntry *a = find_tensor(*first.manifest, name), *b = find_tensor(*second.manifest, name);
    TensorDifference difference;
    difference.name = name;
    difference.rows = (a != nullptr ? a : b)->shape[0];
    if (a == nullptr || b == nullptr) {
      difference.other = b == nullptr ? "only in the first" : "only in the second";
    } else if (a->dtype != b->dtype || a->shape != b->shape) {
      difference.other = a->dtype != b->dtype ? "other dtype" : "other shape";
    } else {
      compare_rows(one, other, *a, *b, difference);
    }
    out.push_back(std::move(difference));
  }
  return out;
}

uint64_t content_digest(const CheckpointInfo& checkpoint) {
  RowReader reader(checkpoint);
  uint64_t digest = 0;
  std::vector<std::byte> bytes;
  for (const TensorEntry& tensor : checkpoint.manifest->tensors) {
    const std::string title = tensor.name + " " + tensor.dtype;
    const uint64_t key = XXH3_64bits(title.data(), title.size());
    const auto row_bytes = static_cast<size_t>(tensor.row_bytes());
    for_pieces(tensor, [&](int64_t first, int64_t rows) {
      bytes.resize(static_cast<size_t>(rows) * row_bytes);
      reader.read(tensor, first, rows, bytes.data());
      for (int64_t row = 0; row < rows; ++row) {  // a sum: the order does not matter
        const uint64_t seed = key + static_cast<uint64_t>(first + row) * 0x9E3779B97F4A7C15u;
        digest += XXH3_64bits_withSeed(bytes.data() + static_cast<size_t>(row) * row_bytes, row_bytes, seed);
      }
    });
  }
  return digest;
}

}  // namespace cllm
