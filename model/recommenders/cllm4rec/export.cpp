#include <ATen/ops/from_file.h>

#include "data/text/id_tokens.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/backbones/load_backbone.h"
#include "model/recommenders/cllm4rec/cllm4rec.h"

namespace cllm {

/// recllm/: the backbone with the collaborative rows as further rows of its word embedding, so that scores of items are
/// logits of their tokens, and a tokenizer with these tokens.
void Cllm4rec::export_model(const ExportFolder& folder) {
  const auto& backbone = dynamic_cast<const Gpt2&>(*model_.backbone);
  const at::Tensor users_ID = folder.tables.at("l_user"), items_JD = folder.tables.at("l_item");
  const std::filesystem::path dir = folder.dir / "recllm", scratch = folder.dir / "embedding.scratch";
  Gpt2Config config = backbone.config();
  const int64_t N = config.num_words, I = users_ID.size(0), J = items_JD.size(0);
  config.num_words = N + I + J;
  {  // in a file's memory: tables of any size
    const at::Tensor embedding =
        at::from_file(scratch.string(), /*shared=*/true, config.num_words * config.width, at::kFloat)
            .view({config.num_words, config.width});
    embedding.narrow(0, 0, N).copy_(backbone.word_embedding().detach());
    embedding.narrow(0, N, I).copy_(users_ID);
    embedding.narrow(0, N + I, J).copy_(items_JD);
    Gpt2::Parameters parameters = backbone.parameters();
    for (auto& [name, tensor] : parameters) tensor = name == "wte.weight" ? embedding : tensor.detach().to(at::kFloat);
    std::filesystem::create_directories(dir);
    save_backbone(dir.string(), Gpt2(config, std::move(parameters), {}));
  }
  std::filesystem::remove(scratch);
  save_with_id_tokens(Tokenizer::load(arguments_.corpus.tokenizer_dir()), arguments_.corpus.vocabulary(), dir);
}

}  // namespace cllm
