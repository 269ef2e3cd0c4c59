#include <cstdio>

#include "data/text/tokenizer.h"
#include "model/backbones/graphed_backbone.h"
#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "model/recommenders/cllm4rec/bag/bag_backbone.h"
#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "model/recommenders/cllm4rec/initial_rows.h"
#include "model/recommenders/cllm4rec/objective/teacher.h"
#include "model/recommenders/cllm4rec/text/make_text_rows.h"
#include "model/recommenders/word_check.h"

namespace cllm {
namespace {

BackboneOptions backbone_options(const Cllm4recOptions& options, const OpenArguments& arguments, const WordSet& words) {
  const at::ScalarType compute = arguments.run.precision;
  AdapterOptions adapters = options.adapters;
  adapters.seed = arguments.run.seed;
  return {.parameters = compute == at::kDouble ? at::kDouble : at::kFloat,
          .compute = compute,
          .device = arguments.device,
          .recompute = options.recompute,
          .num_words = arguments.corpus.vocabulary().num_words,
          .words = words.kept(),
          .adapters = std::move(adapters)};
}

/// The token of the beginning, or none. Local.
std::vector<int32_t> start_of_prompts(const Cllm4recOptions& options, const Tokenizer& tokenizer) {
  const std::span<const int32_t> own = tokenizer.start_of_text();
  if (options.prompts.bos == StartToken::kOff) return {};
  if (options.prompts.bos == StartToken::kAuto || !own.empty()) return {own.begin(), own.end()};
  const std::optional<int32_t> bos = options.has_backbone() ? read_bos(options.backbone) : std::nullopt;
  if (bos && *bos >= 0 && *bos < tokenizer.size()) return {*bos};
  throw OptionError("prompts.bos = on: the tokenizer puts nothing before a text, and " + options.backbone +
                    " has no bos_token_id among its words: set it there, or prompts.bos = \"off\"");
}

PromptSet compile_prompts(const Cllm4recOptions& options, const Corpus& corpus, const Tokenizer& tokenizer) {
  const PromptOptions& texts = options.prompts;
  const std::vector<int32_t> start = start_of_prompts(options, tokenizer);
  const auto compile = [&](const std::string& text) { return PromptTemplate::compile(text, tokenizer).behind(start); };
  const auto of_history = [&](const std::string& text) {
    const PromptTemplate prompt = compile(text);
    return texts.user_token == UserToken::kOff ? prompt.without(PromptPiece::Kind::kUser) : prompt;
  };
  PromptSet out{
      .collaborative = of_history(texts.collaborative),
      .recommendation = of_history(options.loss.rec_prompt == RecPrompt::kPaper ? texts.recommendation_paper
                                                                                : texts.recommendation_release),
      .review = compile(texts.review),
      .biography = compile(texts.biography),
      .item_content = compile(texts.item_prompt("content"))};
  for (const std::string& kind : corpus.text_kinds()) out.item_content_by_kind[kind] = compile(texts.item_prompt(kind));
  return out;
}

/// An export needs all rows, and a list none but the prompts'.
WordSet words_of(const Cllm4recOptions& options, const OpenArguments& arguments, PromptSet& prompts,
                 const BackboneShape& sizes) {
  if (options.vocabulary == ContentVocabulary::kFull || !arguments.to_train) return {};
  const std::vector<PromptTemplate*> all = prompts.all();
  std::vector<const PromptTemplate*> read(all.begin(), all.end());
  PromptTemplate start;
  if (sizes.start_word) start = PromptTemplate({{PromptPiece::Kind::kWord, *sizes.start_word}});
  read.push_back(&start);
  return WordSet(arguments.corpus, read);
}

SamplerOptions sampler_options(const Cllm4recOptions& options, const RunOptions& run, int64_t max_positions,
                               const WordSet& words) {
  return {
      .loss = options.loss,
      .objective = options.objective,
      .user_token_dropout = options.prompts.user_token == UserToken::kDropped ? options.prompts.user_token_dropout : 0,
      .shape = {.group_size = options.group_size, .groups_per_batch = options.groups},
      .seed = run.seed,
      .only_new = run.only_new,
      .max_positions = max_positions,
      .max_items = options.max_items,
      .keep = options.keep,
      .max_text_tokens = options.max_text_tokens,
      .dropout = options.history_dropout,
      .masking = options.masking,
      .item_dropout = options.item_dropout,
      .words = words};
}

/// Before anything large is read. Local.
BackboneShape check_backbone(const Cllm4recOptions& options, const OpenArguments& arguments, const Tokenizer& used) {
  if (options.backbone.empty()) {
    throw OptionError("run.backbone is not set: name a Hugging Face folder with config.json");
  }
  const bool can_record = arguments.run.precision == at::kBFloat16 && !options.train_backbone &&
                          options.adapters.rank == 0 && !arguments.device.is_cpu();
  if (options.graph_tokens > 0 && !can_record) {
    throw OptionError(
        "run.graph_tokens = " + std::to_string(options.graph_tokens) +
        " records passes of a frozen backbone on a GPU: set run.precision = \"bf16\", "
        "run.train_backbone = false, backbone.adapters.rank = 0 and --device=cuda, or run.graph_tokens = 0");
  }
  const BackboneShape sizes =
      options.has_backbone()
          ? read_shape(options.backbone)
          : BackboneShape{options.bag_width, 0, arguments.corpus.vocabulary().num_words, BagBackbone::kMaxPositions};
  if (!sizes.predicts) {
    throw OptionError(
        "run.backbone = " + options.backbone +
        ": an encoder predicts no words; name a language model here, and use this one with cllm4rec embed");
  }
  constexpr int64_t kWord = 8;  // the kernels read rows in words of 16 bytes
  if (!arguments.device.is_cpu() && sizes.width % kWord != 0) {
    throw OptionError("run.device = cuda needs a backbone whose width is a multiple of 8; " + options.backbone +
                      " has " + std::to_string(sizes.width));
  }
  if (options.has_backbone()) check_words(sizes.num_words, options.backbone, arguments.corpus, used);
  return sizes;
}

std::shared_ptr<Backbone> open_backbone(const Cllm4recOptions& options, const OpenArguments& arguments,
                                        const WordSet& words) {
  std::shared_ptr<Backbone> backbone;
  if (!options.has_backbone()) {
    return std::make_shared<BagBackbone>(options.bag_width, backbone_options(options, arguments, words));
  } else if (options.random_backbone) {
    backbone = random_backbone(options.backbone, arguments.run.seed, backbone_options(options, arguments, words));
  } else {
    backbone = load_backbone(*arguments.host, options.backbone, backbone_options(options, arguments, words));
  }
  backbone->set_trainable(options.train_backbone);
  if (arguments.to_train && options.graph_tokens > 0) {
    backbone = std::make_shared<GraphedBackbone>(std::move(backbone), options.graph_tokens, arguments.device);
  }
  return backbone;
}

std::string of_head(const ItemHead& head, int64_t negatives) {
  char text[160];
  if (head.form == ItemSoftmax::kSampled) {
    std::snprintf(text, sizeof text, "from %lld negatives (over all items: %.2f of the backbone's operations)",
                  static_cast<long long>(negatives), head.share);
  } else {
    std::snprintf(text, sizeof text, "over all items (%.2f of the backbone's operations)", head.share);
  }
  return text;
}

/// Opens the backbone and checks that it fits the corpus; starts the tables (METHOD.md §4). Collective.
std::unique_ptr<Recommender> open(const ModelOptions& any, const OpenArguments& arguments) {
  const auto& options = dynamic_cast<const Cllm4recOptions&>(any);
  std::optional<Tokenizer> tokenizer;
  PromptSet prompts;
  WordSet words;
  BackboneShape sizes;
  arguments.agreed([&] {
    tokenizer = Tokenizer::load(arguments.corpus.tokenizer_dir());
    sizes = check_backbone(options, arguments, *tokenizer);
    prompts = compile_prompts(options, arguments.corpus, *tokenizer);
    words = words_of(options, arguments, prompts, sizes);
  });
  RecModel model{open_backbone(options, arguments, words), {}, {}, {}};
  model.collaborative = initial_table(options, arguments, *model.backbone, words, Side::kCollaborative);
  const MapStart start{options.initial_tables == InitialTables::kTextMean, options.initial_std};
  model.text = make_text_rows(options.text_rows, start, arguments, *model.backbone, words, model.collaborative);
  model.content = initial_table(options, arguments, *model.backbone, words, Side::kContent);
  Sampler sampler(arguments.corpus, std::move(prompts),
                  sampler_options(options, arguments.run, sizes.max_positions, words));
  const Dropout rates{sizes.dropout_embedding, sizes.dropout_attention, sizes.dropout_residual};
  auto out =
      std::make_unique<Cllm4rec>(options, arguments, std::move(model), std::move(sampler), std::move(words), rates);
  if (!arguments.to_train) return out;
  out->set_labels(make_soft_labels(options.objective, arguments));
  out->prepare_head();
  return out;
}

}  // namespace

Model cllm4rec_model() {
  return {.name = "cllm4rec",
          .summary = "a frozen language model with tokens for users and items (WWW 2024)",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<Cllm4recOptions>(); },
          .open = open,
          .takes_new = true};
}

std::string Cllm4rec::describe() const {
  const Backbone& backbone = *model_.backbone;
  std::string out = "backbone   " + options_.backbone + ": width " + std::to_string(backbone.width()) + ", " +
                    std::to_string(backbone.max_positions()) + " positions, " +
                    (options_.train_backbone ? "trained" : "frozen");
  if (!backbone.adapters().empty()) {
    int64_t numbers = 0;
    for (const auto& [name, tensor] : backbone.trainable()) numbers += tensor.numel();
    out += ", adapters of rank " + std::to_string(options_.adapters.rank) + " at " +
           std::to_string(backbone.trainable().size() / 2) + " of its matrices: " + std::to_string(numbers) +
           " parameters";
  }
  out += "\n";
  const int64_t rows = options_.has_backbone() ? read_shape(options_.backbone).num_words : backbone.num_words();
  if (!words_.is_all()) {
    out += words_.describe();
  } else if (rows != backbone.num_words()) {
    out += "words      " + std::to_string(backbone.num_words()) + " of the tokenizer; the other " +
           std::to_string(rows - backbone.num_words()) + " rows of the backbone's word table are padding, not used\n";
  }
  out += "softmax    L " + of_head(collaborative_head_, options_.negatives) + "; F " +
         of_head(recommendation_head_, options_.negatives) + "\n";
  if (labels_) out += labels_->describe();
  if (model_.text) {
    const auto [users, items] = model_.text->covered();
    const Vocabulary& all = arguments_.corpus.vocabulary();
    out += "texts      make the rows of " + std::to_string(items) + " of " + std::to_string(all.num_items) +
           " items and " + std::to_string(users) + " of " + std::to_string(all.num_users) +
           " users (rows.text); the others have rows of their own alone\n";
  }
  for (const auto& [kind, name] : {std::pair{StepKind::kCollaborative, "collaborative (L)   "},
                                   {StepKind::kContent, "content (C)         "},
                                   {StepKind::kRecommendation, "recommendation (F)  "}}) {
    out += std::string("epoch      ") + name + std::to_string(sampler_.num_samples(kind)) + " sequences in " +
           std::to_string(sampler_.num_steps(kind)) + " steps of " +
           std::to_string(options_.groups * options_.group_size) + "\n";
  }
  out += sampler_.describe_long_histories();
  return out;
}

}  // namespace cllm
