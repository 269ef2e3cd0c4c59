#include "model/backbones/start_weight.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "data/random.h"

namespace cllm {

at::Tensor normal_weight(at::IntArrayRef shape, double deviation, uint64_t seed, uint64_t number,
                         at::ScalarType dtype) {
  at::Tensor weight = at::empty(shape, at::TensorOptions().dtype(at::kDouble));
  auto* const value = weight.mutable_data_ptr<double>();
  const int64_t columns = shape[1];
  at::parallel_for(0, shape[0], 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      CounterRng random(stream_key(seed, Purpose::kBackboneInit, number, static_cast<uint64_t>(row)));
      for (int64_t d = 0; d < columns; ++d) value[row * columns + d] = deviation * random.normal();
    }
  });
  return weight.to(dtype);
}

}  // namespace cllm
