#include "data/text/id_tokens.h"
#include "model/errors.h"
#include "model/recommenders/cllm4rec/cllm4rec.h"

namespace cllm {

/// recllm/: the backbone with the collaborative rows as further rows of its word embedding, so that scores of items are
/// logits of their tokens, and a tokenizer with these tokens. What adapters add is
/// merged there; adapter/ beside it has them alone, for the backbone as it was.
void Cllm4rec::export_model(const ExportFolder& folder) {
  if (logits_.kind != HeadKind::kDot) {
    throw ModelError("loss.head = \"" + std::string(logits_.kind == HeadKind::kCosine ? "cosine" : "standardised") +
                     "\": a language model scores its words by products, so recllm/ is not written; the tables in " +
                     folder.dir.string() + " are complete");
  }
  if (options_.skip > 0) {
    throw ModelError("backbone.skip = " + std::to_string(options_.skip) +
                     ": a language model alone does not have what it adds, so recllm/ is not written; the tables in " +
                     folder.dir.string() + " are complete");
  }
  const std::filesystem::path dir = folder.dir / "recllm";
  std::filesystem::create_directories(dir);
  model_.backbone->save(dir.string(), {folder.tables.at("l_user"), folder.tables.at("l_item")});
  if (const Adapters& adapters = model_.backbone->adapters(); !adapters.empty()) {
    adapters.save(folder.dir / "adapter", options_.backbone);
  }
  save_with_id_tokens(Tokenizer::load(arguments_.corpus.tokenizer_dir()), arguments_.corpus.vocabulary(), dir);
}

}  // namespace cllm
