#include <optional>

#include "data/text/tokenizer.h"
#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "model/recommenders/cllm4rec/objective/teacher.h"
#include "model/recommenders/titles/title_texts.h"
#include "model/recommenders/titles/titles.h"
#include "model/recommenders/word_check.h"

namespace cllm {
namespace {

/// Before anything large is read. Local.
BackboneShape check_backbone(const TitlesOptions& options, const Corpus& corpus, const Tokenizer& tokenizer) {
  if (options.backbone.empty())
    throw OptionError("run.backbone is not set: name a Hugging Face folder with config.json");
  const BackboneShape shape = read_shape(options.backbone);
  const std::string where = "run.backbone = " + options.backbone + ": ";
  if (!shape.predicts) throw OptionError(where + "an encoder writes no titles; name a language model");
  if (shape.start_word)
    throw OptionError(where + "titles are written by a decoder that reads its own prompt; name one without an encoder");
  check_words(shape.num_words, options.backbone, corpus, tokenizer);
  return shape;
}

/// What stands before the titles: what the tokenizer puts before a text, else an end; and the prompt.
std::vector<int32_t> opening_of(const TitlesOptions& options, const Tokenizer& tokenizer, int32_t end) {
  const auto start = tokenizer.start_of_text();
  std::vector<int32_t> out(start.begin(), start.end());
  if (out.empty()) out.push_back(end);
  tokenizer.encode(options.prompt, out);
  return out;
}

std::shared_ptr<Backbone> open_backbone(const TitlesOptions& options, const OpenArguments& arguments) {
  const at::ScalarType compute = arguments.run.precision;
  AdapterOptions adapters = options.adapters;
  adapters.seed = arguments.run.seed;
  const BackboneOptions how{.parameters = compute == at::kDouble ? at::kDouble : at::kFloat,
                            .compute = compute,
                            .device = arguments.device,
                            .recompute = options.recompute,
                            .num_words = arguments.corpus.vocabulary().num_words,
                            .adapters = std::move(adapters)};
  auto backbone = options.random_backbone ? random_backbone(options.backbone, arguments.run.seed, how)
                                          : load_backbone(*arguments.host, options.backbone, how);
  backbone->set_trainable(options.train_backbone);
  return backbone;
}

/// Collective.
std::unique_ptr<Recommender> open(const ModelOptions& any, const OpenArguments& arguments) {
  const auto& options = dynamic_cast<const TitlesOptions&>(any);
  std::shared_ptr<const TitleTrie> trie;
  std::optional<TitleSequences> sequences;
  TitleCounts counts;
  arguments.agreed([&] {
    const Tokenizer tokenizer = Tokenizer::load(arguments.corpus.tokenizer_dir());
    const BackboneShape shape = check_backbone(options, arguments.corpus, tokenizer);
    const int32_t end = end_of_titles(options.texts, tokenizer, options.backbone);
    const at::Tensor counts_J = item_counts(arguments.corpus);
    trie = std::make_shared<const TitleTrie>(
        title_tokens(arguments.corpus, tokenizer, options.texts, end, counts), end,
        std::span(counts_J.const_data_ptr<double>(), static_cast<size_t>(counts_J.size(0))));
    sequences.emplace(*trie, opening_of(options, tokenizer, end), options.max_titles, shape.max_positions);
  });
  std::unique_ptr<ItemTeacher> teacher;
  if (arguments.to_train) {
    if (auto labels = make_soft_labels(options.objective, arguments)) {
      teacher = std::make_unique<ItemTeacher>(arguments.channels.softmax, arguments.corpus.vocabulary().num_items,
                                              std::move(labels));
    }
  }
  return std::make_unique<Titles>(options, arguments,
                                  Titles::Parts{open_backbone(options, arguments), std::move(trie),
                                                std::move(*sequences), std::move(teacher), counts});
}

}  // namespace

Model titles_model() {
  return {.name = "titles",
          .summary = "a language model that writes the next item's title, taught by a collaborative model (TCA4Rec)",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<TitlesOptions>(); },
          .open = open,
          .takes_new = true};
}

std::string Titles::describe() const {
  const TitleTrie& trie = *parts_.trie;
  const Backbone& backbone = *parts_.backbone;
  int64_t numbers = 0;
  for (const auto& [name, tensor] : backbone.trainable()) numbers += tensor.numel();
  std::string out =
      "backbone   " + options_.backbone + ": width " + std::to_string(backbone.width()) + ", " +
      std::to_string(backbone.max_positions()) + " positions, " +
      (options_.train_backbone ? "trained: "
                               : "frozen, adapters of rank " + std::to_string(options_.adapters.rank) + ": ") +
      std::to_string(numbers) + " parameters\n";
  const int32_t items = static_cast<int32_t>(arguments_.corpus.vocabulary().num_items);
  out += "titles     " + std::to_string(trie.num_leaves()) + " different ones of " + std::to_string(items) +
         " items, of at most " + std::to_string(trie.longest()) + " tokens; a tree of " +
         std::to_string(trie.num_nodes()) + " nodes, " + std::to_string(trie.node(TitleTrie::kRoot).num_children) +
         " first tokens\n";
  if (trie.num_leaves() < items)
    out += "           items with the same title stand in lists together, the more popular first\n";
  if (parts_.counts.without_text > 0)
    out += "           " + std::to_string(parts_.counts.without_text) +
           " items have no such text and are called by their raw ids\n";
  if (parts_.counts.cut > 0)
    out += "           " + std::to_string(parts_.counts.cut) + " titles are cut at " +
           std::to_string(options_.texts.max_tokens) + " tokens (titles.max_tokens)\n";
  int64_t longer = 0, users = arguments_.corpus.vocabulary().num_users;
  for (int64_t user = 0; user < users; ++user) {
    const auto history = arguments_.corpus.history(user, Part::kTrain);
    longer += parts_.sequences.shown(history).size() < history.size() ? 1 : 0;
  }
  if (longer > 0)
    out += "histories  " + std::to_string(longer) + " of " + std::to_string(users) +
           " are longer than what is shown: their newest titles, at most " + std::to_string(options_.max_titles) +
           " (titles.max_titles) and what the backbone's positions hold\n";
  if (parts_.teacher) out += parts_.teacher->describe();
  return out + "epoch      " + std::to_string(users_.num_users()) + " users with two training items, " +
         std::to_string(users_.num_steps()) + " updates\n";
}

/// titles/: the backbone in Hugging Face layout, with what adapters add merged, and the corpus' tokenizer; adapter/:
/// the adapters alone.
void Titles::export_model(const ExportFolder& folder) {
  const std::filesystem::path dir = folder.dir / "titles";
  std::filesystem::create_directories(dir);
  parts_.backbone->save(dir.string());
  if (const Adapters& adapters = parts_.backbone->adapters(); !adapters.empty())
    adapters.save(folder.dir / "adapter", options_.backbone);
  Tokenizer::load(arguments_.corpus.tokenizer_dir()).save(dir);
}

}  // namespace cllm
