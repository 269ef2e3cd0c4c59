#include "model/recommenders/titles/titles.h"

#include <algorithm>
#include <optional>

#include "data/random.h"
#include "model/recommenders/titles/title_masses.h"
#include "model/step/flops.h"

namespace cllm {
namespace {

const TitlesInput& of_titles(const StepInput& input) { return dynamic_cast<const TitlesInput&>(input); }

EpochOptions epochs_of(const TitlesOptions& options, int64_t validate_every) {
  return {.epochs = options.epochs,
          .learning_rate = options.learning_rate,
          .validate_every = validate_every,
          .patience = options.patience};
}

}  // namespace

Titles::Titles(const TitlesOptions& options, const OpenArguments& arguments, Parts parts)
    : options_(options), arguments_(arguments), parts_(std::move(parts)),
      users_(arguments.corpus, {.seed = arguments.run.seed,
                                .batch_users = options.batch_users,
                                .least_items = 2,
                                .only_new = arguments.run.only_new}),
      program_(
          program_of_epochs("titles", users_.num_steps(), epochs_of(options, arguments.run.validate_every_epochs))),
      adam_(parts_.backbone->trainable()) {}

Store Titles::store() {
  Store store{.tables = {}, .dense = {{"backbone.", &adam_}}};
  if (options_.train_backbone) return store;
  for (const auto& [name, tensor] : parts_.backbone->parameters()) store.frozen.push_back({"backbone." + name, tensor});
  return store;
}

/// Of all ranks.
std::vector<TitleSample> Titles::samples(const StepRef& ref) const {
  std::vector<TitleSample> out;
  for (const SampledUser& user : users_.batch(ref)) {
    CounterRng random(user.key);
    const auto places = static_cast<uint64_t>(training_length(arguments_.corpus, user.user) - 1);
    for (int64_t n = 0; n < options_.samples; ++n) {
      const auto end = static_cast<int64_t>(random.below(places)) + 1;
      out.push_back({user.user, mix64(user.key + static_cast<uint64_t>(n)), end});
    }
  }
  return out;
}

std::unique_ptr<StepInput> Titles::input(const StepRef& ref) const {
  const Communicator& world = arguments_.channels.world;
  const std::vector<TitleSample> all = samples(ref);
  std::vector<int64_t> tokens;
  int64_t predicted = 0;
  for (const TitleSample& sample : all) {
    const auto size =
        parts_.sequences.size_of(training_history(arguments_.corpus, sample.user), sample.end, options_.targets);
    tokens.push_back(size.tokens);
    predicted += size.predicted;
  }
  auto out = std::make_unique<TitlesInput>();
  out->titles = empty_titles(arguments_.corpus.vocabulary());
  for (const size_t n : share_of_rank(tokens, world.rank(), world.world_size())) {
    parts_.sequences.append(all[n], training_history(arguments_.corpus, all[n].user), options_.targets,
                            1 / static_cast<double>(predicted), out->titles);
  }
  const Batch& batch = out->titles.batch;
  out->tensors = make_tensors(batch, /*dropout=*/options_.adapters.dropout > 0, arguments_.device);
  out->num_sequences = batch.num_sequences();
  out->num_tokens = batch.num_tokens();
  out->keys = batch.sequence_keys;
  return out;
}

/// (1 - alpha) of the title's own token and alpha of the teacher's, of the children of every node. Collective if there
/// is a teacher.
ListedLabels Titles::labels_of(const TitleBatch& titles, double alpha) {
  ListedLabels out{.words = {}, .labels = {}, .weights = titles.batch.target_weights};
  const bool taught = parts_.teacher != nullptr && alpha > 0,
             restricted = options_.softmax == TitleSoftmax::kRestricted;
  const HistoryLists& lists = titles.histories;
  at::Tensor logits_PJ;
  if (taught) logits_PJ = parts_.teacher->logits(lists);
  std::optional<TitleMasses> masses;
  int64_t masses_of = -1;
  for (size_t a = 0; a < titles.nodes.size(); ++a) {
    const TitleTrie::Node& node = parts_.trie->node(titles.nodes[a]);
    if (const int64_t p = titles.position_A[a]; taught && p != masses_of) {
      const auto place = static_cast<size_t>(p);
      const auto J = static_cast<size_t>(logits_PJ.size(1));
      const auto first = static_cast<size_t>(lists.offsets[static_cast<size_t>(lists.sequence[place])]);
      masses.emplace(*parts_.trie, std::span(logits_PJ.const_data_ptr<double>() + place * J, J),
                     std::span(lists.items).subspan(first, static_cast<size_t>(lists.shown[place])));
      masses_of = p;
    }
    std::vector<double> mass;
    if (taught) masses->append_children(node, mass);
    size_t n = 0;
    for (const TitleTrie::Node& child : parts_.trie->children(node)) {
      const double own = child.token == titles.batch.targets[a] ? 1 : 0;
      const double label = taught ? (1 - alpha) * own + alpha * mass[n] : own;
      ++n;
      if (label == 0 && !restricted) continue;
      out.words.ids.push_back(child.token);
      out.labels.push_back(label);
    }
    out.words.offsets.push_back(std::ssize(out.words.ids));
  }
  return out;
}

WordLoss Titles::loss_and_gradients(const TitlesInput& input, double alpha) {
  const ListedLabels labels = labels_of(input.titles, alpha);
  const ListedSoftmax softmax{options_.objective.teacher.form, options_.softmax == TitleSoftmax::kRestricted,
                              options_.temperature};
  const Backbone& backbone = *parts_.backbone;
  return word_loss(arguments_.channels.world, backbone, upload(input.tensors, arguments_.device),
                   {.adapters = options_.adapters.dropout}, [&](const at::Tensor& hidden_AD) {
                     return listed_softmax(hidden_AD, backbone.text_head().detach(), labels, softmax,
                                           options_.train_backbone);
                   });
}

StepLosses Titles::step(const StepInput& input, const StepSettings& settings, const NextStep* /*next*/) {
  const TitlesInput& titles = of_titles(input);
  const WordLoss mine =
      loss_and_gradients(titles, options_.objective.teacher.alpha_at(settings.ref.epoch, options_.epochs));
  non_finite_ = mine.non_finite;
  return move_words(arguments_.channels.world, adam_, {mine.loss, {}, titles.num_sequences, titles.num_tokens},
                    settings, options_.clip, options_.learning_rate_at(settings.global_step, program_.num_steps()));
}

std::vector<std::vector<ScoredItem>> Titles::top_items(std::span<const RankingQuery> queries, int64_t k) {
  const TitleTrie& trie = *parts_.trie;
  std::vector<TitleQuestion> questions;
  for (const RankingQuery& query : queries) {
    TitleQuestion question{parts_.sequences.prompt(query.history), {}};
    const auto is_masked = [&](int32_t item) { return std::ranges::binary_search(query.masked, item); };
    for (const int32_t item : query.masked) {
      const int32_t leaf = trie.leaf_of(item);
      if (std::ranges::all_of(trie.items(leaf), is_masked)) question.dead_leaves.push_back(leaf);
    }
    std::vector<int32_t>& dead = question.dead_leaves;
    std::ranges::sort(dead);
    dead.erase(std::unique(dead.begin(), dead.end()), dead.end());  // clang 14 cannot compile that of ranges
    questions.push_back(std::move(question));
  }
  const TitleSearch search(*parts_.backbone, trie, arguments_.device);
  const auto titles = search.best(
      questions, {.beams = std::max(options_.beams, k),
                  .softmax = {.restricted = options_.lists_are_restricted(), .temperature = options_.temperature}});
  std::vector<std::vector<ScoredItem>> out(queries.size());
  for (size_t n = 0; n < queries.size(); ++n) {
    for (const ScoredTitle& title : titles[n]) {
      for (const int32_t item : trie.items(title.leaf)) {
        if (std::ssize(out[n]) < k && !std::ranges::binary_search(queries[n].masked, item))
          out[n].push_back({item, title.score});
      }
    }
  }
  return out;
}

/// Of the first epoch's updates the one with the most tokens.
void Titles::rehearse() {
  if (program_.num_steps() == 0) return;
  StepRef largest;
  int64_t most = -1;
  for (int64_t step = 0; step < users_.num_steps(); ++step) {
    const int64_t tokens = input({.step = step})->num_tokens;
    if (tokens > most) largest.step = step;
    most = std::max(most, tokens);
  }
  loss_and_gradients(of_titles(*input(largest)), options_.objective.teacher.alpha);
  for (const auto& [name, parameter] : parts_.backbone->trainable()) parameter.mutable_grad() = at::Tensor();
}

double Titles::flops(const StepInput& input, const StepSettings& /*settings*/) const {
  const Batch& batch = of_titles(input).titles.batch;
  return backbone_flops(batch, *parts_.backbone, options_.train_backbone) +
         head_flops(std::ssize(batch.active_rows), parts_.backbone->num_words(), parts_.backbone->width(),
                    options_.train_backbone);
}

}  // namespace cllm
