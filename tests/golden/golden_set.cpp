#include "tests/golden/golden_set.h"

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "data/text/prompt.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/backbones/load_backbone.h"
#include "model/kernels/compute_dtype.h"
#include "model/recommenders/cllm4rec/collate.h"

namespace cllm::golden {
namespace {

Json read_index(const std::string& dir) {
  std::ifstream in(dir + "/index.json");
  if (!in) throw std::runtime_error("no golden files in " + dir + " (index.json is missing)");
  return Json::parse(in);
}

PromptTemplate template_of(const Json& pieces) {
  using Kind = PromptPiece::Kind;
  std::vector<PromptPiece> out;
  for (const Json& piece : pieces) {
    if (piece.is_number()) {
      out.push_back({Kind::kWord, piece.get<int32_t>()});
    } else {
      out.push_back({piece == "user" ? Kind::kUser : piece == "item" ? Kind::kItem : Kind::kItems, 0});
    }
  }
  return PromptTemplate(std::move(out));
}

}  // namespace

StepKind kind_of(const Json& batch_case) {
  const auto kind = batch_case.at("kind").get<std::string>();
  return kind == "L" ? StepKind::kCollaborative : kind == "C" ? StepKind::kContent : StepKind::kRecommendation;
}

std::string side_of(StepKind kind) { return kind == StepKind::kContent ? "c" : "l"; }

GoldenSet::GoldenSet(const std::string& dir, Communicator& comm, Communicator& host, at::ScalarType dtype,
                     at::Device device)
    : dir_(dir), comm_(comm), host_(host), dtype_(dtype), device_(device), index_(read_index(dir)) {
  const Json& sizes = index_.at("sizes");
  vocabulary_ = {sizes.at("n_words"), sizes.at("n_users"), sizes.at("n_items")};
}

RowLayout GoldenSet::layout() const {
  return RowLayout(vocabulary_.num_users, vocabulary_.num_items, comm_.rank(), comm_.world_size());
}

const SafetensorsFile& GoldenSet::truth(const std::string& stem) {
  return truth_.try_emplace(stem, dir_ + "/" + stem + ".f64.safetensors").first->second;
}

std::shared_ptr<Backbone> GoldenSet::backbone(const std::string& folder, const AdapterOptions& adapters) const {
  return load_backbone(
      host_, dir_ + "/" + folder,
      {.parameters = residual_dtype(dtype_), .compute = dtype_, .device = device_, .adapters = adapters});
}

at::Tensor GoldenSet::placed(const at::Tensor& tensor) const {
  return (tensor.is_floating_point() ? tensor.to(residual_dtype(dtype_)) : tensor).to(device_);
}

RecModel GoldenSet::model(const std::string& std) const {
  const SafetensorsFile file = open("tables_std" + std + ".safetensors");
  const auto table = [&](const std::string& side) {
    return make_table(layout(), placed(file.tensor(side + "_user")), placed(file.tensor(side + "_item")));
  };
  return {backbone(), table("l"), table("c")};
}

std::vector<int32_t> GoldenSet::recommendation_prompt(const LossOptions& options, int64_t user,
                                                      const std::vector<int32_t>& visible) const {
  const char* const name = options.rec_prompt == RecPrompt::kPaper ? "rec_paper" : "rec_release";
  return template_of(index_.at("templates").at(name)).fill(vocabulary_, user, 0, visible);
}

std::vector<Sequence> GoldenSet::sequences(const Json& batch_case, const LossOptions& options) const {
  const Json& members = index_.at("batches").at(batch_case.at("batch").get<std::string>());
  std::vector<Sequence> out;
  int32_t group = 0;
  for (const Json& indices : batch_case.at("groups")) {
    for (const Json& n : indices) {
      const Json& member = members.at(n.get<size_t>());
      Sequence sequence;
      sequence.group = group;
      if (kind_of(batch_case) == StepKind::kRecommendation) {
        const auto visible = member.at("visible").get<std::vector<int32_t>>();
        sequence.prompt = recommendation_prompt(options, member.at("user").get<int64_t>(), visible);
        sequence.targets = member.at("held_out").get<std::vector<int32_t>>();
        if (options.finetune_targets == FinetuneTargets::kAllTrain) {
          sequence.targets.insert(sequence.targets.end(), visible.begin(), visible.end());
        }
        std::ranges::sort(sequence.targets);
      } else {
        sequence.prompt = member.at("prompt").get<std::vector<int32_t>>();
        sequence.main = member.at("main").get<std::vector<int32_t>>();
      }
      out.push_back(std::move(sequence));
    }
    ++group;
  }
  return out;
}

RecBatch GoldenSet::batch(const Json& batch_case, const LossOptions& options) const {
  const StepKind kind = kind_of(batch_case);
  const std::vector<Sequence> all = sequences(batch_case, options);
  GroupTotals totals{std::vector<int64_t>(batch_case.at("groups").size(), 0)};
  std::vector<Sequence> mine;
  for (size_t n = 0; n < all.size(); ++n) {
    totals.terms[static_cast<size_t>(all[n].group)] +=
        num_loss_terms(kind, options, static_cast<int64_t>(all[n].main.size()));
    if (n % static_cast<size_t>(comm_.world_size()) == static_cast<size_t>(comm_.rank())) mine.push_back(all[n]);
  }
  return collate(mine, kind, totals, vocabulary_, options);
}

at::Tensor GoldenSet::own_users(const at::Tensor& users) const {
  return users.narrow(0, layout().users().begin(comm_.rank()), layout().num_local_users());
}

at::Tensor GoldenSet::own_items(const at::Tensor& items) const {
  return items.narrow(0, layout().items().begin(comm_.rank()), layout().num_local_items());
}

}  // namespace cllm::golden
