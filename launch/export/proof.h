#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "launch/run/workspace.h"

namespace cllm {

/// File of an export: the rows [J, D] whose dot products with a query's row are its scores; row n is line n of
/// item_ids.txt.
inline constexpr const char* kRankedItems = "ranked_items.npy";
inline constexpr const char* kFlatIndex = "items_flat.faiss";
inline constexpr const char* kHnswIndex = "items_hnsw.faiss";

/// Asks the run for the best 20 of 100 users and recomputes these lists from what lies in `dir`: from ranked_items.npy,
/// from the Faiss indexes if they are there, and from recllm/ by transformers where CLLM_PYTHON has it. Lists agree if,
/// place by place, scores do (up to rounding); those of the HNSW index, which is no exact search, if at least 90 % of
/// their items are there. Writes proof.json, the questions and answers. Returns lines for a person; ConfigError: a list
/// differs, or the model's scores are no dot products. Collective; rank 0 computes.
std::vector<std::string> prove_export(Workspace& workspace, Communicator& comm, const std::filesystem::path& dir);

}  // namespace cllm
