#include "model/recommenders/cllm4rec/initial_rows.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

namespace cllm {

at::Tensor centred_text_means(const Corpus& corpus, const WordSet& words, const at::Tensor& words_ND,
                              const RowLayout& layout) {
  const Vocabulary& vocabulary = corpus.vocabulary();
  at::Tensor sums = at::zeros({layout.num_local_rows(), words_ND.size(1)}, words_ND.options().dtype(at::kFloat));
  at::Tensor counts = at::zeros({layout.num_local_rows(), 1}, sums.options());
  const at::Tensor mean_D = words_ND.to(at::kFloat).mean(0);
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if (text.user >= 0 && text.item >= 0) continue;  // a review tells of both: not a text of its own
    const int64_t row = text.user >= 0 ? text.user : vocabulary.num_users + text.item;
    if (layout.owner(row) != layout.rank()) continue;
    const at::Tensor ids = at::tensor(words.own(text.tokens), at::kInt);
    const auto tokens = static_cast<double>(text.tokens.size());
    sums[layout.local(row)].add_(words_ND.index_select(0, ids).sum(0).to(at::kFloat)).sub_(mean_D, tokens);
    counts[layout.local(row)].add_(tokens);
  }
  return sums.div_(counts.clamp_min_(1));
}

Table initial_table(const Cllm4recOptions& options, const OpenArguments& arguments, const Backbone& backbone,
                    const WordSet& words, Side side) {
  const Vocabulary& vocabulary = arguments.corpus.vocabulary();
  const Communicator& world = arguments.channels.world;
  const RowLayout layout(vocabulary.num_users, vocabulary.num_items, world.rank(), world.world_size());
  const auto dtype = arguments.run.precision == at::kDouble ? at::kDouble : at::kFloat;
  Table table = make_random_table(layout, backbone.width(), dtype, arguments.run.seed, side);
  constexpr double kTableStd = 0.02;  // of make_random_table, METHOD.md §4
  if (options.initial_std != kTableStd) table.weight.mul_(options.initial_std / kTableStd);
  if (options.initial_tables == InitialTables::kTextMean) {
    const at::Tensor words_ND = backbone.word_embedding().detach().cpu();
    table.weight.add_(centred_text_means(arguments.corpus, words, words_ND, layout).to(dtype));
  }
  if (arguments.run.bf16_tables) round_to_bf16(table);
  move_table(table, arguments.device, arguments.run.users_on_host);
  return table;
}

}  // namespace cllm
