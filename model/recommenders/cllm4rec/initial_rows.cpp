#include "model/recommenders/cllm4rec/initial_rows.h"

#include "model/recommenders/cllm4rec/text/word_means.h"

namespace cllm {

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
