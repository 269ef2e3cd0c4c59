#include "launch/export/export_run.h"

#include <cstdio>
#include <fstream>

#include "dist/rows/gather_rows.h"
#include "launch/export/item_index.h"
#include "launch/export/proof.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "model/backbones/file_tensor.h"
#include "model/backbones/safetensors.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBlockRows = 65536;

/// One table as a whole on rank 0, in fp32; the other ranks only send their rows.
std::unique_ptr<FileTensor> assemble(Communicator& comm, const RowPartition& partition, const at::Tensor& local_rows,
                                     const fs::path& scratch) {
  std::unique_ptr<FileTensor> out;
  collectively(comm, [&] {
    if (comm.rank() == 0)
      out = std::make_unique<FileTensor>(scratch, partition.num_rows(), local_rows.size(1), at::kFloat);
  });
  for_each_row_block(comm, partition, local_rows, kBlockRows, [&](const at::Tensor& block_ND, int64_t first) {
    if (out) out->tensor().narrow(0, first, block_ND.size(0)).copy_(block_ND);
  });
  return out;
}

/// NumPy's format 1.0: magic, version, padded header, then the rows (little-endian fp32).
void write_npy(const fs::path& path, const at::Tensor& rows_ND) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows_ND.size(0)) + ", " +
                       std::to_string(rows_ND.size(1)) + "), }";
  constexpr size_t kPreamble = 10;
  header.append(63 - (kPreamble + header.size()) % 64, ' ').push_back('\n');
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write("\x93NUMPY\x01\x00", 8);
  out.put(static_cast<char>(header.size() & 0xFF)).put(static_cast<char>(header.size() >> 8));
  out << header;
  out.write(static_cast<const char*>(rows_ND.const_data_ptr()), static_cast<std::streamsize>(rows_ND.nbytes()));
  out.close();
  if (!out) throw ConfigError("cannot write " + path.string() + ": make room, or choose another --output");
}

template <typename RawId>
void write_ids(const fs::path& path, int64_t count, RawId&& raw_id) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  for (int64_t n = 0; n < count; ++n) out << raw_id(n) << '\n';
  out.close();
  if (!out) throw ConfigError("cannot write " + path.string() + ": make room, or choose another --output");
}

/// The rows, and indexes of them.
void write_ranked_items(const fs::path& dir, const at::Tensor& rows_JD, bool faiss) {
  write_npy(dir / kRankedItems, rows_JD);
  if (!faiss) return;
  const std::span<const float> rows(rows_JD.const_data_ptr<float>(), static_cast<size_t>(rows_JD.numel()));
  write_faiss_index(dir / kFlatIndex, IndexKind::kFlat, rows, rows_JD.size(1));
  write_faiss_index(dir / kHnswIndex, IndexKind::kHnsw, rows, rows_JD.size(1));
}

}  // namespace

void export_run(Workspace& workspace, Communicator& comm, const fs::path& dir, const ExportChoices& choices) {
  const Corpus& corpus = workspace.corpus;
  collectively(comm, [&] {
    std::error_code error;
    if (comm.rank() == 0) fs::create_directories(dir, error);
    if (error) throw ConfigError("cannot make " + dir.string() + ": " + error.message() + "; choose another --output");
  });
  ExportFolder folder{.dir = dir, .tables = {}};
  std::vector<std::unique_ptr<FileTensor>> files;
  const auto add = [&](const std::string& name, const RowPartition& partition, const at::Tensor& local_rows) {
    if (partition.num_rows() == 0) return;
    files.push_back(assemble(comm, partition, local_rows, dir / (name + ".scratch")));
    if (files.back()) folder.tables[name] = files.back()->tensor();
  };
  for (const NamedTable& named : workspace.model->store().tables) {
    for (const RowGroup& group : named.table->layout.groups())
      add(named.name + "_" + group.name, group.partition, Table::rows_of(named.table->rows(), group));
  }
  const at::Tensor ranked = choices.ranked_items ? workspace.model->scored_rows() : at::Tensor();
  const auto scored = ranked.defined() ? assemble(comm, RowPartition(corpus.vocabulary().num_items, comm.world_size()),
                                                  ranked, dir / "ranked_items.scratch")
                                       : nullptr;
  collectively(comm, [&] {
    if (comm.rank() != 0) return;
    if (scored) write_ranked_items(dir, scored->tensor(), choices.faiss);
    NamedTensors named(folder.tables.begin(), folder.tables.end());
    for (const auto& [name, rows] : named) write_npy(dir / (name + ".npy"), rows);
    write_safetensors((dir / "embeddings.safetensors").string(), named);
    write_ids(dir / kUserIds, corpus.vocabulary().num_users, [&](int64_t n) { return corpus.user_raw_id(n); });
    write_ids(dir / kItemIds, corpus.vocabulary().num_items, [&](int64_t n) { return corpus.item_raw_id(n); });
    workspace.model->export_model(folder);
  });
}

}  // namespace cllm
