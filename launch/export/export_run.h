#pragma once

#include <filesystem>

#include "dist/communicator/communicator.h"
#include "launch/run/workspace.h"

namespace cllm {

/// Raw ids: line n + 1 is that of row n.
inline constexpr const char* kUserIds = "user_ids.txt";
inline constexpr const char* kItemIds = "item_ids.txt";

struct ExportChoices {
  bool ranked_items = false;  // also ranked_items.npy (proof.h), of a model that has such rows
  bool faiss = false;         // and Faiss indexes of them
};

/// Writes the learned tables and the RecLLM for use elsewhere (layout: launch/README.md, "Export"). Row n of a table,
/// line n of its raw ids and the token user_n or item_n belong together. The bytes do not depend on the number of
/// ranks; memory is one block of rows on every rank. Tables must be flushed. Collective.
void export_run(Workspace& workspace, Communicator& comm, const std::filesystem::path& dir,
                const ExportChoices& choices = {});

}  // namespace cllm
