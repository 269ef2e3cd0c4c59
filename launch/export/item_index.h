#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cllm {

enum class IndexKind { kFlat, kHnsw };

/// Why this build writes no Faiss index, with what to do; "": it does.
std::string why_no_faiss();

/// Rows [n, d] as a Faiss index file of inner products. ConfigError: no Faiss (why_no_faiss()), or it says why.
void write_faiss_index(const std::filesystem::path& path, IndexKind kind, std::span<const float> rows, int64_t d);

/// Numbers [b, k] of the best rows for queries [b, d], best first; -1: no more. ConfigError likewise.
std::vector<int64_t> search_faiss_index(const std::filesystem::path& path, std::span<const float> queries, int64_t d,
                                        int64_t k);

}  // namespace cllm
