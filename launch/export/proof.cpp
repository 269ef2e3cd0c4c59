#include "launch/export/proof.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mv.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "data/corpus/files.h"
#include "data/ingest/values/parse.h"
#include "launch/export/export_run.h"
#include "launch/export/item_index.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "model/evaluation/queries.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUsers = 100, kItems = 20;
constexpr double kRounding = 1e-4;    // of fp32 sums, relative to the largest score of a list
constexpr double kLeastOfHnsw = 0.9;  // of the items of exact lists
constexpr int kPythonLacksIt = 77;    // of launch/prove_export

/// Rows of a .npy file of export: fp32, [n, D], in the file's memory.
class NpyRows {
 public:
  explicit NpyRows(const fs::path& path) : file_(path) {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(file_.bytes().data());
    const size_t size = file_.bytes().size(), header = size < 10 ? 0 : 10 + size_t{bytes[8]} + 256 * size_t{bytes[9]};
    const std::string text(reinterpret_cast<const char*>(bytes), std::min(size, header));
    const size_t shape = text.find("'shape': (");
    if (shape == std::string::npos) throw ConfigError(path.string() + ": is no .npy file; export again");
    rows_ = std::stoll(text.substr(shape + 10));
    width_ = std::stoll(text.substr(text.find(',', shape + 10) + 1));
    values_ = {reinterpret_cast<const float*>(bytes + header), static_cast<size_t>(rows_ * width_)};
    if (size != header + values_.size_bytes()) throw ConfigError(path.string() + ": cut short; export again");
  }
  int64_t width() const { return width_; }
  at::Tensor tensor() const {
    return at::from_blob(const_cast<float*>(values_.data()), {rows_, width_}, at::kFloat);  // read only
  }

 private:
  MappedFile file_;
  std::span<const float> values_;
  int64_t rows_ = 0, width_ = 0;
};

std::vector<RankingQuery> questions(const Workspace& workspace) {
  const Corpus& corpus = workspace.corpus;
  const int64_t num_users = corpus.vocabulary().num_users, step = std::max<int64_t>(1, num_users / kUsers);
  const HistoryMode mode = workspace.config.evaluation.history_at_test;
  std::vector<RankingQuery> out;
  for (int64_t user = 0; user < num_users && std::ssize(out) < kUsers; user += step) {
    RankingQuery query = make_query(corpus, user, mode, Mask::kEverything);
    if (!query.history.empty()) out.push_back(std::move(query));
  }
  return out;
}

/// The questions with the run's answers, and with all scores recomputed.
struct Asked {
  std::vector<RankingQuery> queries;
  std::vector<std::vector<ScoredItem>> lists;
  at::Tensor rows_bD;
};

/// What a list says that the scores do not; "": nothing.
std::string difference(const Corpus& corpus, const RankingQuery& query, const std::vector<int64_t>& list,
                       const at::Tensor& scores_J) {
  const auto* const scores = scores_J.const_data_ptr<double>();
  TopK best(kItems);
  best.add(std::span<const double>(scores, static_cast<size_t>(scores_J.size(0))), query.masked);
  const std::vector<ScoredItem> expected = best.take();
  const auto name = [&](int64_t item) { return std::string(corpus.item_raw_id(item)); };
  const std::string who = "user " + std::string(corpus.user_raw_id(query.user)) + ": ";
  if (list.size() != expected.size())
    return who + std::to_string(list.size()) + " items instead of " + std::to_string(expected.size());
  const double allowed =
      kRounding * (expected.empty() ? 0 : std::abs(expected[0].score) + std::abs(expected.back().score));
  for (size_t n = 0; n < list.size(); ++n) {
    const bool masked = std::ranges::binary_search(query.masked, static_cast<int32_t>(list[n]));
    const auto here = list.begin() + static_cast<std::ptrdiff_t>(n);
    const bool again = std::find(list.begin(), here, list[n]) != here;
    if (!masked && !again && std::abs(scores[list[n]] - expected[n].score) <= allowed) continue;
    return who + "place " + std::to_string(n + 1) + " is item " + name(list[n]) + " of score " +
           std::to_string(scores[list[n]]) + ", not " + name(expected[n].item) + " of " +
           std::to_string(expected[n].score);
  }
  return "";
}

[[noreturn]] void differ(const fs::path& from, const std::string& what) {
  throw ConfigError("--prove: lists from " + from.string() + " are not those of the run: " + what);
}

/// Of a Faiss index, without the masked items.
std::vector<std::vector<int64_t>> lists_of_index(const fs::path& path, const Asked& asked, int64_t num_items) {
  size_t longest = 0;
  for (const RankingQuery& query : asked.queries) longest = std::max(longest, query.masked.size());
  const int64_t k = std::min<int64_t>(num_items, kItems + static_cast<int64_t>(longest)), D = asked.rows_bD.size(1);
  const at::Tensor rows = asked.rows_bD.to(at::kFloat).contiguous();
  const auto numbers =
      search_faiss_index(path, {rows.const_data_ptr<float>(), static_cast<size_t>(rows.numel())}, D, k);
  std::vector<std::vector<int64_t>> out(asked.queries.size());
  for (size_t q = 0; q < out.size(); ++q) {
    for (int64_t n = 0; n < k && std::ssize(out[q]) < kItems; ++n) {
      const int64_t item = numbers[q * static_cast<size_t>(k) + static_cast<size_t>(n)];
      if (item >= 0 && !std::ranges::binary_search(asked.queries[q].masked, static_cast<int32_t>(item)))
        out[q].push_back(item);
    }
  }
  return out;
}

/// The share of the run's items that are in the lists of the index.
double found_of(const Asked& asked, const std::vector<std::vector<int64_t>>& lists) {
  int64_t found = 0, all = 0;
  for (size_t q = 0; q < lists.size(); ++q) {
    for (const ScoredItem& scored : asked.lists[q])
      found += std::ranges::count(lists[q], static_cast<int64_t>(scored.item));
    all += std::ssize(asked.lists[q]);
  }
  return all == 0 ? 1 : static_cast<double>(found) / static_cast<double>(all);
}

void write_questions(const Workspace& workspace, const Asked& asked, const fs::path& dir) {
  const Corpus& corpus = workspace.corpus;
  const auto prompts = workspace.model->prompts_of(asked.queries);
  nlohmann::ordered_json users = nlohmann::ordered_json::array();
  for (size_t q = 0; q < asked.queries.size(); ++q) {
    nlohmann::ordered_json user{{"user", std::string(corpus.user_raw_id(asked.queries[q].user))},
                                {"left_out", asked.queries[q].masked},
                                {"items", nlohmann::json::array()},
                                {"scores", nlohmann::json::array()}};
    for (const ScoredItem& scored : asked.lists[q]) {
      user["items"].push_back(scored.item);
      user["scores"].push_back(scored.score);
    }
    if (!prompts.empty()) user["tokens"] = prompts[q];
    users.push_back(std::move(user));
  }
  const nlohmann::ordered_json all{{"first_item_token", corpus.vocabulary().item_token(0)},
                                   {"num_items", corpus.vocabulary().num_items},
                                   {"users", users}};
  std::ofstream out(dir / "proof.json", std::ios::trunc);
  out << all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  if (!out.flush()) throw ConfigError("cannot write " + (dir / "proof.json").string() + ": make room");
}

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// By launch/prove_export in the Python that CLLM_PYTHON names.
std::string prove_by_transformers(const fs::path& dir) {
  const char* const python = std::getenv("CLLM_PYTHON");
  if (python == nullptr || *python == '\0') return "transformers: not asked (CLLM_PYTHON names no Python)";
  std::error_code error;
  const fs::path script =
      fs::read_symlink("/proc/self/exe", error).parent_path().parent_path() / "launch" / "prove_export";
  if (!fs::exists(script, error)) return "transformers: not asked (no " + script.string() + ")";
  const int status =
      std::system((quoted_for_shell(python) + " " + quoted_for_shell(script) + " " + quoted_for_shell(dir)).c_str());
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  if (code == kPythonLacksIt) return "transformers: not asked (" + std::string(python) + " lacks it)";
  if (code != 0) differ(dir / "recllm", "transformers gives others (above)");
  return "transformers: the same lists from recllm/";
}

/// Row n of a table is that of line n + 1.
void check_names(const fs::path& ids, int64_t rows, const std::function<std::string_view(int64_t)>& raw_id) {
  std::ifstream in(ids);
  std::string line;
  for (int64_t row = 0; row < rows; ++row) {
    if (!std::getline(in, line) || line != raw_id(row))
      differ(ids,
             "line " + std::to_string(row + 1) + " is " + cllm::quoted(line) + ", not " + cllm::quoted(raw_id(row)));
  }
}

std::vector<std::string> prove(const Workspace& workspace, const Asked& asked, const fs::path& dir) {
  const Corpus& corpus = workspace.corpus;
  check_names(dir / kItemIds, corpus.vocabulary().num_items, [&](int64_t n) { return corpus.item_raw_id(n); });
  check_names(dir / kUserIds, corpus.vocabulary().num_users, [&](int64_t n) { return corpus.user_raw_id(n); });
  const NpyRows items(dir / kRankedItems);
  const bool flat = fs::exists(dir / kFlatIndex), hnsw = fs::exists(dir / kHnswIndex);
  std::vector<std::vector<int64_t>> of_flat;
  if (flat) of_flat = lists_of_index(dir / kFlatIndex, asked, corpus.vocabulary().num_items);
  const at::Tensor rows_JD = items.tensor().to(at::kDouble), queries_bD = asked.rows_bD.to(at::kDouble);
  for (size_t q = 0; q < asked.queries.size(); ++q) {
    const at::Tensor scores_J = at::mv(rows_JD, queries_bD.select(0, static_cast<int64_t>(q))).contiguous();
    std::vector<int64_t> own;
    for (const ScoredItem& scored : asked.lists[q]) own.push_back(scored.item);
    if (const auto what = difference(corpus, asked.queries[q], own, scores_J); !what.empty())
      differ(dir / kRankedItems, what);
    if (!flat) continue;
    if (const auto what = difference(corpus, asked.queries[q], of_flat[q], scores_J); !what.empty())
      differ(dir / kFlatIndex, what);
  }
  const std::string lists = std::to_string(asked.queries.size()) + " lists of " + std::to_string(kItems);
  std::vector<std::string> out{"proved: " + lists + " recomputed from " + kRankedItems + " are those of the run"};
  if (flat) out.emplace_back("Faiss IndexFlatIP: the same lists");
  if (hnsw) {
    const double found = found_of(asked, lists_of_index(dir / kHnswIndex, asked, corpus.vocabulary().num_items));
    if (found < kLeastOfHnsw) differ(dir / kHnswIndex, "only " + percent(found) + " of the items");
    out.push_back("Faiss IndexHNSWFlat: " + percent(found) + " of the items");
  }
  if (!workspace.model->prompts_of(asked.queries).empty()) out.push_back(prove_by_transformers(dir));
  return out;
}

}  // namespace

std::vector<std::string> prove_export(Workspace& workspace, Communicator& comm, const fs::path& dir) {
  Recommender& model = *workspace.model;
  Asked asked;
  collectively(comm, [&] {
    if (comm.rank() == 0) asked.queries = questions(workspace);
  });
  asked.lists = model.top_items(asked.queries, kItems);
  asked.rows_bD = model.query_rows(asked.queries);
  std::vector<std::string> out;
  collectively(comm, [&] {
    if (comm.rank() != 0) return;
    write_questions(workspace, asked, dir);
    out = prove(workspace, asked, dir);
  });
  return out;
}

}  // namespace cllm
