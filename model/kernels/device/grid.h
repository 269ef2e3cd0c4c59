#pragma once

// How rows meet threads: `x` threads walk one row, `y` rows share a block.

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>

namespace cllm::kernels::cuda {

constexpr int kWarp = 32;
constexpr int kBlock = 256;      // threads of a block unless one row needs more
constexpr int kMaxBlock = 1024;  // the hardware's limit

constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct Grid {
  int64_t blocks;
  int64_t x, y;  // threads of a block
};

/// One thread per 16-byte word of a row, whole warps per row.
inline Grid row_grid(int64_t num_rows, int64_t words_per_row) {
  const int64_t x = divide_up(words_per_row, kWarp) * kWarp;
  TORCH_CHECK(x <= kMaxBlock, "a row of ", words_per_row, " 16-byte words is wider than one block of threads (",
              kMaxBlock, ")");
  const int64_t y = x >= kBlock ? 1 : kBlock / x;
  const int64_t blocks = divide_up(num_rows, y);
  TORCH_CHECK(blocks < (int64_t{1} << 31), "too many rows for one launch: ", num_rows);
  return {blocks, x, y};
}

/// The same for threads that go on to the next words of a row wider than a block.
inline Grid long_row_grid(int64_t num_rows, int64_t words_per_row) {
  return row_grid(num_rows, std::min<int64_t>(words_per_row, kMaxBlock));
}

/// For short rows: a power of two of threads of one warp per row, which go on to its next words.
inline Grid short_row_grid(int64_t num_rows, int64_t words_per_row) {
  int64_t x = 1;
  while (x < std::min<int64_t>(words_per_row, kWarp)) x *= 2;
  const int64_t y = kBlock / x, blocks = divide_up(num_rows, y);
  TORCH_CHECK(blocks < (int64_t{1} << 31), "too many rows for one launch: ", num_rows);
  return {blocks, x, y};
}

/// One thread per word, whatever rows they are of.
inline Grid flat_grid(int64_t num_words) {
  const int64_t blocks = divide_up(num_words, kBlock);
  TORCH_CHECK(blocks < (int64_t{1} << 31), "too many words for one launch: ", num_words);
  return {blocks, kBlock, 1};
}

}  // namespace cllm::kernels::cuda
