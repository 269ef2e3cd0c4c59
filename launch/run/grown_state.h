#pragma once

#include <optional>
#include <string>

#include "checkpoints/checkpoint.h"
#include "data/corpus/corpus.h"
#include "launch/run/run_folder.h"
#include "launch/run/train_state.h"
#include "launch/run/workspace.h"

namespace cllm {

/// A checkpoint of a run on another corpus as the state of this one.
struct GrownState {
  Cursor cursor;
  std::string line;  // for a person: how many rows were found there, and what the others start from
};

/// Fills the workspace's model: a row of a user or an item that the other run's corpus has (an ancestor of this one:
/// the same number; else by raw id) is the row there, with its optimiser state; dense tensors are those there. Rows of
/// others start from the mean of the rows found (init.new_rows = "mean"; from their texts alone where rows are made of
/// texts), or stay as the model started them. Tables are flushed. ConfigError if a table's rows are not of the same
/// kind, or the other corpus is not found. Collective.
GrownState load_grown(Workspace& workspace, Communicator& comm, const RunFolder& other,
                      const CheckpointInfo& checkpoint);

/// The corpus on which vectors of texts were turned for a run of that configuration, which is to start from init.run:
/// that of the first run in the chain of starts. None: it is this one, of `fingerprint`, or the other run is gone,
/// which a run that goes on does not need. DataError if that corpus is not found. Local.
std::optional<Corpus> start_corpus(const RunConfig& config, const std::string& fingerprint);

}  // namespace cllm
