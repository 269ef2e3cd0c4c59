#include "launch/run/workspace.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>

#include "data/text/tokenizer.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/run/initial_rows.h"
#include "model/backbones/load_backbone.h"

namespace cllm {
namespace {

BackboneOptions backbone_options(const RunConfig& config, at::Device device) {
  if (config.run.precision == "fp64") return {at::kDouble, at::kDouble, device, config.run.recompute};
  return {at::kFloat, config.run.precision == "bf16" ? at::kBFloat16 : at::kFloat, device, config.run.recompute};
}

PromptSet compile_prompts(const RunConfig& config, const Corpus& corpus, const Tokenizer& tokenizer) {
  const PromptsSection& texts = config.prompts;
  const auto compile = [&](const std::string& text) { return PromptTemplate::compile(text, tokenizer); };
  PromptSet out{.collaborative = compile(texts.collaborative),
                .recommendation =
                    compile(loss_options(config.loss).rec_prompt == RecPrompt::kPaper ? texts.recommendation_paper
                                                                                      : texts.recommendation_release),
                .review = compile(texts.review),
                .biography = compile(texts.biography),
                .item_content = {}};
  out.item_content = compile(item_prompt(texts, "content"));
  for (const std::string& kind : corpus.text_kinds())
    out.item_content_by_kind[kind] = compile(item_prompt(texts, kind));
  return out;
}

SamplerOptions sampler_options(const RunConfig& config, int64_t max_positions) {
  return {.loss = loss_options(config.loss),
          .shape = {.group_size = config.loss.group_size, .groups_per_batch = config.batch.groups},
          .seed = static_cast<uint64_t>(config.run.seed),
          .max_positions = max_positions,
          .max_items = config.batch.max_items,
          .max_text_tokens = config.batch.max_text_tokens,
          .masking = config.loss.masking,
          .item_dropout = config.loss.item_dropout};
}

OptimizerConfig optimizer_config(const RunConfig& config) {
  const OptimizerSection& section = config.optimizer;
  return {.name = section.name,
          .learning_rate = config.mutual.learning_rate,
          .beta1 = section.beta1,
          .beta2 = section.beta2,
          .epsilon = section.epsilon};
}

void use_threads(const RunConfig& config, const MpiSession& mpi) {
  const int64_t cores = std::max<int64_t>(1, sysconf(_SC_NPROCESSORS_ONLN));
  at::set_num_threads(
      static_cast<int>(config.run.threads > 0 ? config.run.threads : std::max<int64_t>(1, cores / mpi.local_size())));
}

std::shared_ptr<Backbone> open_backbone(const RunConfig& config, const Gpt2Config& sizes, MpiSession& mpi,
                                        at::Device device) {
  std::shared_ptr<Backbone> backbone;
  if (config.run.random_backbone) {
    backbone = make_gpt2(sizes, static_cast<uint64_t>(config.run.seed), backbone_options(config, device));
  } else {
    backbone = load_backbone(*mpi.host(config.run.deadline_s), config.run.backbone, backbone_options(config, device));
  }
  backbone->set_trainable(config.run.train_backbone);
  return backbone;
}

}  // namespace

std::unique_ptr<Workspace> open_workspace(const RunConfig& config, MpiSession& mpi, Communicator& world,
                                          at::Device device) {
  use_threads(config, mpi);
  std::optional<Corpus> corpus;
  std::optional<Tokenizer> tokenizer;
  Gpt2Config sizes;
  collectively(world, [&] {
    if (config.run.corpus.empty())
      throw ConfigError("run.corpus is not set: name the folder that `cllm4rec prepare` wrote");
    if (config.run.backbone.empty())
      throw ConfigError("run.backbone is not set: name a Hugging Face folder with config.json");
    corpus = Corpus::open(config.run.corpus);
    tokenizer = Tokenizer::load(corpus->tokenizer_dir());
    sizes = read_gpt2_config(config.run.backbone);
    constexpr int64_t kWord = 8;  // the kernels read rows in words of 16 bytes
    if (!device.is_cpu() && sizes.width % kWord != 0) {
      throw ConfigError("run.device = " + config.run.device + " needs a backbone whose width is a multiple of 8; " +
                        config.run.backbone + " has " + std::to_string(sizes.width));
    }
    if (sizes.num_words != corpus->vocabulary().num_words) {
      throw ConfigError("the backbone " + config.run.backbone + " has " + std::to_string(sizes.num_words) +
                        " words, the corpus " + config.run.corpus + " was tokenized with " +
                        std::to_string(corpus->vocabulary().num_words) +
                        ": prepare the corpus with the backbone's tokenizer (--tokenizer)");
    }
  });
  const Vocabulary& vocabulary = corpus->vocabulary();
  const TableLayout layout(vocabulary.num_users, vocabulary.num_items, world.rank(), world.world_size());
  RecModel model;
  together(world, [&] { model.backbone = open_backbone(config, sizes, mpi, device); });
  model.collaborative = initial_table(config, *corpus, *model.backbone, layout, Side::kCollaborative);
  model.content = initial_table(config, *corpus, *model.backbone, layout, Side::kContent);
  for (Table* table : {&model.collaborative, &model.content})
    move_table(*table, device, config.run.user_tables == "host");
  HardwareLimits limits;
  if (!device.is_cpu() || config.log.trace) limits = measure_limits(device, backbone_options(config, device).compute);
  auto optimizer = make_row_optimizer(optimizer_config(config));
  auto dense = config.run.train_backbone ? std::make_unique<DenseAdam>(model.backbone->parameters()) : nullptr;
  Sampler sampler(*corpus, compile_prompts(config, *corpus, *tokenizer), sampler_options(config, sizes.max_positions));
  const auto head = [&](StepKind kind) { return choose_item_head(config, sampler, *model.backbone, kind); };
  const ItemHead collaborative = head(StepKind::kCollaborative), recommendation = head(StepKind::kRecommendation);
  const DropoutRates rates{sizes.dropout_embedding, sizes.dropout_attention, sizes.dropout_residual};
  return std::make_unique<Workspace>(Workspace{config, device, limits, *corpus, rates, /*levels=*/nullptr,
                                               std::move(model), std::move(sampler), collaborative, recommendation,
                                               std::move(optimizer), std::move(dense)});
}

}  // namespace cllm
