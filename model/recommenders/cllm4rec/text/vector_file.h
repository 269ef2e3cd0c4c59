#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

#include "data/corpus/corpus.h"

namespace cllm {

/// Vectors of items that another program made: NAME.safetensors with the tensor `vectors` [n, k] of any floating dtype,
/// and beside it NAME.ids.txt, n lines, the raw id of the item of each. Items that the corpus does not know are left
/// out. fp64 [users + items, k], 0 for a row that the file does not have. Local. DataError or ModelError: a file or the
/// tensor is missing or has another shape, a number is not finite, an id is there twice, or no id is of the corpus.
at::Tensor vectors_of_file(const Corpus& corpus, const std::filesystem::path& path);

}  // namespace cllm
