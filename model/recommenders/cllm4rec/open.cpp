#include <cstdio>

#include "data/text/tokenizer.h"
#include "model/backbones/graphed_backbone.h"
#include "model/backbones/load_backbone.h"
#include "model/errors.h"
#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "model/recommenders/cllm4rec/initial_rows.h"
#include "model/recommenders/cllm4rec/objective/teacher.h"

namespace cllm {
namespace {

BackboneOptions backbone_options(const Cllm4recOptions& options, const OpenArguments& arguments) {
  const at::ScalarType compute = arguments.run.precision;
  return {compute == at::kDouble ? at::kDouble : at::kFloat, compute, arguments.device, options.recompute};
}

PromptSet compile_prompts(const Cllm4recOptions& options, const Corpus& corpus, const Tokenizer& tokenizer) {
  const PromptOptions& texts = options.prompts;
  const auto compile = [&](const std::string& text) { return PromptTemplate::compile(text, tokenizer); };
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

SamplerOptions sampler_options(const Cllm4recOptions& options, uint64_t seed, int64_t max_positions) {
  return {
      .loss = options.loss,
      .objective = options.objective,
      .user_token_dropout = options.prompts.user_token == UserToken::kDropped ? options.prompts.user_token_dropout : 0,
      .shape = {.group_size = options.group_size, .groups_per_batch = options.groups},
      .seed = seed,
      .max_positions = max_positions,
      .max_items = options.max_items,
      .max_text_tokens = options.max_text_tokens,
      .masking = options.masking,
      .item_dropout = options.item_dropout};
}

/// Before anything large is read. Local.
BackboneShape check_backbone(const Cllm4recOptions& options, const OpenArguments& arguments) {
  if (options.backbone.empty()) {
    throw OptionError("run.backbone is not set: name a Hugging Face folder with config.json");
  }
  const bool can_record =
      arguments.run.precision == at::kBFloat16 && !options.train_backbone && !arguments.device.is_cpu();
  if (options.graph_tokens > 0 && !can_record) {
    throw OptionError("run.graph_tokens = " + std::to_string(options.graph_tokens) +
                      " records passes of a frozen backbone on a GPU: set run.precision = \"bf16\", "
                      "run.train_backbone = false and --device=cuda, or run.graph_tokens = 0");
  }
  const BackboneShape sizes = read_shape(options.backbone);
  constexpr int64_t kWord = 8;  // the kernels read rows in words of 16 bytes
  if (!arguments.device.is_cpu() && sizes.width % kWord != 0) {
    throw OptionError("run.device = cuda needs a backbone whose width is a multiple of 8; " + options.backbone +
                      " has " + std::to_string(sizes.width));
  }
  const int64_t num_words = arguments.corpus.vocabulary().num_words;
  // Tables of published models are longer than their tokenizers, rounded up (Qwen2.5: 151,936 rows, 151,665 words).
  const int64_t spare = sizes.num_words - num_words;
  if (spare < 0 || spare > sizes.num_words / 100) {
    throw OptionError("the backbone " + options.backbone + " has " + std::to_string(sizes.num_words) +
                      " words, the corpus " + arguments.corpus.dir().string() + " was tokenized with " +
                      std::to_string(num_words) + ": prepare the corpus with the backbone's tokenizer (--tokenizer)");
  }
  return sizes;
}

std::shared_ptr<Backbone> open_backbone(const Cllm4recOptions& options, const OpenArguments& arguments) {
  const int64_t num_words = arguments.corpus.vocabulary().num_words;
  std::shared_ptr<Backbone> backbone;
  if (options.random_backbone) {
    backbone = random_backbone(options.backbone, arguments.run.seed, backbone_options(options, arguments), num_words);
  } else {
    backbone = load_backbone(*arguments.host, options.backbone, backbone_options(options, arguments), num_words);
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
  BackboneShape sizes;
  arguments.agreed([&] {
    tokenizer = Tokenizer::load(arguments.corpus.tokenizer_dir());
    sizes = check_backbone(options, arguments);
  });
  RecModel model{open_backbone(options, arguments), {}, {}};
  model.collaborative = initial_table(options, arguments, *model.backbone, Side::kCollaborative);
  model.content = initial_table(options, arguments, *model.backbone, Side::kContent);
  Sampler sampler(arguments.corpus, compile_prompts(options, arguments.corpus, *tokenizer),
                  sampler_options(options, arguments.run.seed, sizes.max_positions));
  const Dropout rates{sizes.dropout_embedding, sizes.dropout_attention, sizes.dropout_residual};
  auto out = std::make_unique<Cllm4rec>(options, arguments, std::move(model), std::move(sampler), rates);
  if (arguments.to_train) out->set_labels(make_soft_labels(options.objective, arguments));
  return out;
}

}  // namespace

Model cllm4rec_model() {
  return {"cllm4rec", "a frozen language model with tokens for users and items (WWW 2024)",
          []() -> std::unique_ptr<ModelOptions> { return std::make_unique<Cllm4recOptions>(); }, open};
}

std::string Cllm4rec::describe() const {
  const Backbone& backbone = *model_.backbone;
  std::string out = "backbone   " + options_.backbone + ": width " + std::to_string(backbone.width()) + ", " +
                    std::to_string(backbone.max_positions()) + " positions, " +
                    (options_.train_backbone ? "trained" : "frozen") + "\n";
  out += "softmax    L " + of_head(collaborative_head_, options_.negatives) + "; F " +
         of_head(recommendation_head_, options_.negatives) + "\n";
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
