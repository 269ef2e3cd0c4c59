#include "launch/run/grown_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "checkpoints/format/dtype.h"
#include "checkpoints/row_reader.h"
#include "launch/config/paths.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

/// Where a row of this rank lies in the other run's table.
struct Move {
  int64_t there, here;
};

/// This rank's rows of a group: which of them are found there, by ascending `there`, and which are not.
struct Rows {
  std::vector<Move> found;
  std::vector<int64_t> missing;
};

/// Which id of this corpus is which of the other one.
class Origins {
 public:
  Origins(const Workspace& workspace, const RunFolder& other) : corpus_(workspace.corpus) {
    const std::string fingerprint = other.corpus_fingerprint();
    const auto& ancestors = corpus_.ancestors();
    const auto known = std::ranges::find(ancestors, fingerprint, &Ancestor::fingerprint);
    if (known != ancestors.end()) {
      ancestor_ = *known;
      return;
    }
    RunConfig config = other.load_config();
    find_paths(config, other.dir(), {});
    there_ = Corpus::open(config.run.corpus);
    other.check_corpus(there_->fingerprint(), config.run.corpus);
  }

  /// -1: it is not there.
  int64_t of(bool user, int64_t id) const {
    if (!there_) return id < (user ? ancestor_.users : ancestor_.items) ? id : -1;
    const auto found = user ? there_->find_user(corpus_.user_raw_id(id)) : there_->find_item(corpus_.item_raw_id(id));
    return found.value_or(-1);
  }

  Rows rows_of(const RowGroup& group, int rank) const {
    Rows out;
    for (int64_t n = 0; n < group.num_local; ++n) {
      const int64_t there = of(group.name == "user", group.partition.begin(rank) + n);
      if (there < 0)
        out.missing.push_back(n);
      else
        out.found.push_back({there, n});
    }
    std::ranges::sort(out.found, {}, &Move::there);
    return out;
  }

 private:
  const Corpus& corpus_;
  Ancestor ancestor_;
  std::optional<Corpus> there_;
};

/// Reads the rows of a stored tensor in order, block by block.
void fill(const TensorEntry& stored, RowReader& reader, const std::vector<Move>& moves, const at::Tensor& rows) {
  if (moves.empty()) return;
  std::vector<int64_t> shape = rows.sizes().vec();
  const int64_t block_rows = rows_at_a_time(stored);
  for (size_t n = 0; n < moves.size();) {
    const int64_t first = moves[n].there;
    size_t end = n;
    while (end < moves.size() && moves[end].there < first + block_rows) ++end;
    shape[0] = moves[end - 1].there + 1 - first;
    const at::Tensor block = at::empty(shape, rows.scalar_type());
    reader.read(stored, first, shape[0], static_cast<std::byte*>(block.mutable_data_ptr()));
    while (n < end) {
      size_t run = n + 1;
      const auto follows = [&] {
        return moves[run].there == moves[run - 1].there + 1 && moves[run].here == moves[run - 1].here + 1;
      };
      while (run < end && follows()) ++run;
      const auto count = static_cast<int64_t>(run - n);
      rows.narrow(0, moves[n].here, count).copy_(block.narrow(0, moves[n].there - first, count));
      n = run;
    }
  }
}

/// The stored tensor of these rows; null for step counts that a checkpoint of before they were kept has not.
const TensorEntry* stored_as(const Workspace& workspace, const CheckpointInfo& checkpoint, const std::string& name,
                             const at::Tensor& rows) {
  const TensorEntry* const found = find_tensor(*checkpoint.manifest, name);
  if (found == nullptr && name.ends_with(".row_step") && !workspace.model->needs_row_steps()) return nullptr;
  const DtypeName* const dtype = find_dtype(rows.scalar_type());
  const int64_t row_bytes = rows.size(0) == 0 ? 0 : static_cast<int64_t>(rows.nbytes()) / rows.size(0);
  if (found == nullptr || dtype == nullptr || found->dtype != dtype->name ||
      (row_bytes > 0 && found->row_bytes() != row_bytes)) {
    throw ConfigError("init.run: " + checkpoint.dir.string() + " has no rows " + name + " of this kind and width: a " +
                      workspace.config.model +
                      " of another corpus or of other options cannot be the start; leave init.run out");
  }
  return found;
}

/// Which rows have a vector of their text (rows.text), of all local rows of the table; undefined: none.
at::Tensor with_text(const Store& store, const Table& table) {
  if (!table.composed.defined()) return {};
  const auto given = std::ranges::find_if(store.tables, &NamedTable::is_given);
  return given->table->weight.abs().sum(1) > 0;
}

/// The mean of what is read of the found rows becomes the value of the missing ones, but for those with a text.
/// Collective.
void start_at_mean(Communicator& comm, Table& table, const RowGroup& group, const Rows& rows,
                   const at::Tensor& with_text) {
  const at::Tensor read = Table::rows_of(table.rows(), group), weight = Table::rows_of(table.weight, group);
  at::Tensor sums = at::zeros({weight.size(1) + 1}, at::kDouble);
  const at::Tensor of_rows = sums.narrow(0, 0, weight.size(1));
  for (const Move& move : rows.found) of_rows.add_(read.select(0, move.here).to(at::kCPU, at::kDouble));
  sums.narrow(0, weight.size(1), 1).fill_(static_cast<double>(rows.found.size()));
  comm.all_reduce(sums, ReduceOp::kSum);
  const double count = sums.const_data_ptr<double>()[weight.size(1)];
  if (count == 0) return;
  const at::Tensor mean = of_rows.div_(count);
  for (const int64_t row : rows.missing) {
    if (with_text.defined() && with_text[group.first_local + row].item<bool>()) continue;
    weight.select(0, row).copy_(mean);
  }
}

/// A found row keeps its optimiser's state, so that a flush pays what it is owed; a missing one is owed nothing.
void load_rows(const Workspace& workspace, const CheckpointInfo& checkpoint, const NamedTable& named,
               const RowGroup& group, const Rows& rows) {
  RowReader reader(checkpoint);
  const auto load_one = [&](const std::string& what, const at::Tensor& all) {
    if (!all.defined()) return;
    const at::Tensor mine = Table::rows_of(all, group);
    const std::string name = named.name + "_" + group.name + "." + what;
    if (const TensorEntry* const stored = stored_as(workspace, checkpoint, name, mine))
      fill(*stored, reader, rows.found, mine);
  };
  load_one("weight", named.table->weight);
  for (const RowState& state : named.table->state) load_one(state.name, state.rows);
  load_one("row_step", named.table->row_step);
}

}  // namespace

GrownState load_grown(Workspace& workspace, Communicator& comm, const RunFolder& other,
                      const CheckpointInfo& checkpoint) {
  Recommender& model = *workspace.model;
  const Store store = model.store();
  std::optional<Origins> origins;
  collectively(comm, [&] { origins.emplace(workspace, other); });
  TrainState dense{.tensors = {}, .replicated = view_state(store).replicated};
  load(comm, checkpoint, dense);
  const auto num_stages = static_cast<int>(model.program().stages().size());
  GrownState out{from_metadata(checkpoint.metadata_json, store, num_stages, ""), ""};
  std::vector<std::vector<Rows>> rows;  // by table and group
  collectively(comm, [&] {
    for (const NamedTable& named : store.tables) {
      rows.emplace_back();
      if (named.is_given) continue;  // found for this corpus
      for (const RowGroup& group : named.table->layout.groups()) {
        rows.back().push_back(group.partition.num_rows() == 0 ? Rows{} : origins->rows_of(group, comm.rank()));
        if (group.partition.num_rows() > 0) load_rows(workspace, checkpoint, named, group, rows.back().back());
        if (!named.table->row_step.defined()) continue;
        const at::Tensor steps = Table::rows_of(named.table->row_step, group);
        for (const int64_t row : rows.back().back().missing) steps.select(0, row).fill_(named.table->step);
      }
    }
  });
  model.flush([] {});
  const bool mean = workspace.config.init.new_rows == "mean";
  bool texts = false;
  at::Tensor counts = at::zeros({4}, at::kLong);  // of the first table with such rows: users, items, found and all
  for (size_t t = 0; t < store.tables.size(); ++t) {
    Table& table = *store.tables[t].table;
    const at::Tensor has_text = with_text(store, table);
    texts = texts || has_text.defined();
    for (size_t g = 0; g < rows[t].size(); ++g) {
      const RowGroup& group = table.layout.groups()[g];
      if (mean && group.partition.num_rows() > 0) start_at_mean(comm, table, group, rows[t][g], has_text);
      auto* const count = counts.mutable_data_ptr<int64_t>() + (group.name == "user" ? 0 : 2);
      count[0] = std::ssize(rows[t][g].found), count[1] = group.num_local;
    }
  }
  model.flush([] {});  // rows of texts are composed of what they are now
  comm.all_reduce(counts, ReduceOp::kSum);
  const auto* const count = counts.const_data_ptr<int64_t>();
  const auto share = [&](int64_t n) { return std::to_string(count[n]) + " of " + std::to_string(count[n + 1]); };
  out.line = "started from " + other.dir().string() + ", of another corpus";
  if (count[1] + count[3] == 0) return out;  // no rows of users or items
  collectively(comm, [&] {
    if (count[0] + count[2] == 0)
      throw ConfigError("init.run: " + other.dir().string() +
                        " has rows of no user and no item of run.corpus: ids must be the same, as after prepare "
                        "--extend; leave init.run out");
  });
  out.line += ": it has rows of " + (count[1] > 0 ? share(0) + " users and " : "") + share(2) +
              " items; the others start " +
              (!mean   ? "as those of a new run"
               : texts ? "from their texts, or where they have none from the mean"
                       : "from their mean");
  return out;
}

std::optional<Corpus> start_corpus(const RunConfig& config, const std::string& fingerprint) {
  std::optional<Corpus> out;
  std::string here = fingerprint;
  RunConfig started = config;
  std::set<std::filesystem::path> met;  // a run may have gone on from itself
  while (!started.init.run.empty()) {
    const RunFolder other(started.init.run);
    if (!std::filesystem::exists(other.config()) || !met.insert(std::filesystem::canonical(other.dir())).second) break;
    started = other.load_config();
    const std::string there = other.corpus_fingerprint();
    if (there.empty() || there == here) continue;
    find_paths(started, other.dir(), {});
    out = Corpus::open(started.run.corpus);
    other.check_corpus(out->fingerprint(), started.run.corpus);
    here = there;
  }
  return out;
}

}  // namespace cllm
