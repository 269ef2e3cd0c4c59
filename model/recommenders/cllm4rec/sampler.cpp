#include "model/recommenders/cllm4rec/sampler.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <unordered_set>

#include "data/errors.h"
#include "data/sampling/assign.h"
#include "model/recommenders/cllm4rec/collate.h"

namespace cllm {
namespace {

using Kind = PromptPiece::Kind;

constexpr uint64_t kRankingOrder = ~uint64_t{0};  // less an order, in the place of an epoch in the key of a fixed order

/// Stage, epoch and kind in one word of a stream key: 2^20 stages, 2^42 epochs.
uint64_t epoch_word(const StepId& id) {
  return (static_cast<uint64_t>(id.stage) << 44) | (static_cast<uint64_t>(id.epoch) << 2) |
         static_cast<uint64_t>(id.kind);
}

/// A prompt of histories whose user's token may be left out: something must predict the first item.
void require_words(const PromptTemplate& without_user, const char* prompt) {
  if (without_user.fixed_length() == 0)
    throw DataError(std::string("prompt '") + prompt +
                    "' has nothing but {user}, which prompts.user_token leaves out; add a word");
}

/// Positions left for items or words, at most `wanted` (0: all of them).
int64_t room(int64_t max_positions, int64_t prompt_length, int64_t wanted, const char* prompt) {
  const int64_t left = max_positions - prompt_length;
  if (left < 1)
    throw DataError(std::string("prompt '") + prompt + "' has " + std::to_string(prompt_length) +
                    " tokens, the backbone " + std::to_string(max_positions) + " positions; shorten the prompt");
  return wanted == 0 ? left : std::min(left, wanted);
}

/// Of a set of items, whoever has it.
uint64_t key_of(const std::vector<int32_t>& ascending) {
  uint64_t key = 0;
  for (const int32_t item : ascending) key = mix64(key + static_cast<uint64_t>(item) + 1);
  return key;
}

std::vector<int32_t> item_tokens(const Vocabulary& vocabulary, const std::vector<int32_t>& items) {
  std::vector<int32_t> tokens(items.size());
  std::transform(items.begin(), items.end(), tokens.begin(), [&](int32_t item) { return vocabulary.item_token(item); });
  return tokens;
}

}  // namespace

Sampler::Sampler(Corpus corpus, PromptSet prompts, const SamplerOptions& options)
    : corpus_(std::move(corpus)), vocabulary_(options.words.own(corpus_.vocabulary())),
      prompts_(std::move(prompts).in(options.words)),
      collaborative_without_user_(prompts_.collaborative.without(Kind::kUser)),
      recommendation_without_user_(prompts_.recommendation.without(Kind::kUser)), options_(options),
      users_(corpus_, options.only_new),
      first_text_(options.only_new && !corpus_.ancestors().empty() ? corpus_.ancestors()[0].texts : 0),
      longest_text_prompt_(prompts_.longest_of_texts()) {
  if (options.user_token_dropout > 0 || !prompts_.collaborative.names(Kind::kUser))
    require_words(collaborative_without_user_, "collaborative");
  max_main_items_ =
      room(options.max_positions, prompts_.collaborative.fixed_length(), options.max_items, "collaborative");
  max_prompt_items_ =
      room(options.max_positions, prompts_.recommendation.fixed_length(), options.max_items, "recommendation");
  max_text_tokens_ = room(options.max_positions, longest_text_prompt_, options.max_text_tokens, "of a text");
}

int64_t Sampler::num_samples(StepKind kind) const {
  return kind == StepKind::kContent ? corpus_.num_texts() - first_text_ : users_.size();
}

std::string Sampler::describe_long_histories() const {
  const int64_t room = std::min(max_main_items_, max_prompt_items_), users = users_.size();
  int64_t longer = 0;
  for (int64_t n = 0; n < users; ++n) longer += corpus_.num_items(users_.user(n), Part::kTrain) > room ? 1 : 0;
  if (longer == 0) return "";
  const bool newest = keeps_newest();
  const bool ascending = options_.loss.item_order == ItemOrder::kAscending;
  return "histories  " + std::to_string(longer) + " of " + std::to_string(users) + " are longer than the " +
         std::to_string(room) + " items that fit after the prompt: " +
         (newest ? "the newest are used (" +
                       std::string(options_.keep == HistoryKeep::kNewest ? "history.keep = newest"
                                                                         : "loss.item_order = time") +
                       ")\n"
          : ascending
              ? "the lowest ids are used (loss.item_order = ascending; history.keep = newest: the newest)\n"
              : "a random choice of them is used, a new one in every epoch (history.keep = random; or newest)\n");
}

uint64_t Sampler::key(Purpose purpose, const StepId& id, int64_t sample) const {
  return stream_key(options_.seed, purpose, epoch_word(id), static_cast<uint64_t>(sample));
}

bool Sampler::keeps_newest() const {
  return options_.keep == HistoryKeep::kNewest || options_.loss.item_order == ItemOrder::kTime;
}

/// At most `count` of the items of a history (oldest first), in the order that they have.
void Sampler::keep_some(std::vector<int32_t>& items, int64_t count, std::span<const int32_t> history) const {
  if (std::ssize(items) <= count) return;
  keeps_newest() ? keep_newest(items, count, history) : keep_first(items, count);
}

std::vector<PlannedSample> Sampler::plan(const StepId& id) const {
  const EpochOrder order(num_samples(id.kind), options_.loss.sample_order, key(Purpose::kEpochOrder, id, 0));
  return plan_step(order, num_samples(id.kind), options_.shape, id.step);
}

/// Of a history in an L-step, before the cap.
int64_t Sampler::items_left(const StepId& id, int64_t user) const {
  return options_.dropout.left_of(corpus_.num_items(user, Part::kTrain), key(Purpose::kHistoryDropout, id, user));
}

int64_t Sampler::words_of(int64_t text) const { return std::min(corpus_.text_length(text), max_text_tokens_); }

int64_t Sampler::main_length(const StepId& id, int64_t sample) const {
  switch (id.kind) {
    case StepKind::kCollaborative: return std::min(items_left(id, users_.user(sample)), max_main_items_);
    case StepKind::kContent: return words_of(first_text_ + sample);
    case StepKind::kRecommendation: break;
  }
  return 0;
}

/// Tokens of a sequence, near enough to share out the work: before masking, and with the longest prompt of a text.
int64_t Sampler::load(const StepId& id, int64_t sample) const {
  switch (id.kind) {
    case StepKind::kCollaborative: return prompts_.collaborative.fixed_length() + main_length(id, sample);
    case StepKind::kContent: return longest_text_prompt_ + main_length(id, sample);
    case StepKind::kRecommendation: break;
  }
  const int64_t items = corpus_.num_items(users_.user(sample), Part::kTrain);
  return prompts_.recommendation.fixed_length() + std::min(items, max_prompt_items_);
}

RecBatch Sampler::batch(const StepId& id, int rank, int world_size) const {
  const std::vector<PlannedSample> planned = plan(id);
  GroupTotals totals{std::vector<int64_t>(static_cast<size_t>(planned.back().group) + 1)};
  std::vector<int64_t> loads;
  for (const PlannedSample& sample : planned) {
    totals.terms[static_cast<size_t>(sample.group)] +=
        num_loss_terms(id.kind, options_.loss, main_length(id, sample.sample), options_.objective);
    loads.push_back(load(id, sample.sample));
  }
  const std::vector<int> ranks = options_.loss.sample_order == SampleOrder::kSequential
                                     ? assign_round_robin(static_cast<int64_t>(planned.size()), world_size)
                                     : assign_balanced(loads, world_size);
  std::vector<Sequence> mine;
  for (size_t n = 0; n < planned.size(); ++n)
    if (ranks[n] == rank) mine.push_back(sequence(id, planned[n]));
  return collate(mine, id.kind, totals, vocabulary_, options_.loss, options_.objective);
}

Sequence Sampler::sequence(const StepId& id, const PlannedSample& planned) const {
  Sequence sequence;
  switch (id.kind) {
    case StepKind::kCollaborative: sequence = collaborative(id, users_.user(planned.sample)); break;
    case StepKind::kContent: sequence = content(first_text_ + planned.sample); break;
    case StepKind::kRecommendation: sequence = recommendation(id, users_.user(planned.sample)); break;
  }
  sequence.group = planned.group;
  sequence.key = key(Purpose::kDropout, id, planned.sample);
  return sequence;
}

Sequence Sampler::collaborative(const StepId& id, int64_t user) const {
  const std::span<const int32_t> oldest_first = corpus_.history(user, Part::kTrain);
  std::vector<int32_t> items = in_order(options_.loss.item_order, corpus_.items(user, Part::kTrain), oldest_first,
                                        key(Purpose::kItemOrder, id, user));
  Sequence sequence{.user = user};
  const std::vector<int32_t> all = items;
  keep_any(items, items_left(id, user), mix64(key(Purpose::kHistoryDropout, id, user)));
  keep_some(items, max_main_items_, oldest_first);
  if (options_.objective.target == LossTarget::kSet && items.size() < all.size()) {
    const std::unordered_set<int32_t> kept(items.begin(), items.end());
    std::copy_if(all.begin(), all.end(), std::back_inserter(sequence.targets),
                 [&](int32_t item) { return !kept.contains(item); });
  }
  sequence.prompt = of_history(id, user).fill(vocabulary_, user, -1, {});
  sequence.main = item_tokens(vocabulary_, items);
  sequence.positions = positions(id, user, std::ssize(items));
  return sequence;
}

/// A draw of loss.positions of those that may be trained; empty: all are.
std::vector<int32_t> Sampler::positions(const StepId& id, int64_t user, int64_t main_length) const {
  const int32_t first = options_.loss.train_first_main_token ? 0 : 1;
  const int64_t wanted = options_.objective.positions;
  std::vector<int32_t> out;
  if (wanted == 0 || main_length - first <= wanted) return out;
  for (int32_t k = first; k < main_length; ++k) out.push_back(k);
  CounterRng(key(Purpose::kVisibleOrder, id, user)).shuffle(std::span(out));
  keep_first(out, wanted);
  std::sort(out.begin(), out.end());
  return out;
}

/// The prompt that a history of this epoch has in training.
const PromptTemplate& Sampler::of_history(const StepId& id, int64_t user) const {
  const bool recommend = id.kind == StepKind::kRecommendation;
  const double dropout = options_.user_token_dropout;
  if (dropout > 0 && CounterRng(key(Purpose::kUserDraws, id, user)).uniform() < dropout)
    return recommend ? recommendation_without_user_ : collaborative_without_user_;
  return recommend ? prompts_.recommendation : prompts_.collaborative;
}

const PromptTemplate& Sampler::text_prompt(const TextSample& text) const {
  const std::string& kind = corpus_.text_kinds()[static_cast<size_t>(text.kind)];
  const auto of_kind = prompts_.item_content_by_kind.find(kind);
  const PromptTemplate& prompt = text.user >= 0 ? (text.item >= 0 ? prompts_.review : prompts_.biography)
                                 : of_kind != prompts_.item_content_by_kind.end() ? of_kind->second
                                                                                  : prompts_.item_content;
  if ((text.user < 0 && prompt.names(Kind::kUser)) || (text.item < 0 && prompt.names(Kind::kItem)))
    throw DataError("the prompt of texts of kind '" + kind + "' names " + (text.user < 0 ? "a user" : "an item") +
                    ", but a text of the corpus has none; change the prompt");
  return prompt;
}

Sequence Sampler::content(int64_t text) const {
  const TextSample sample = corpus_.text(text);
  const auto tokens = sample.tokens.first(static_cast<size_t>(words_of(text)));
  return {.prompt = text_prompt(sample).fill(vocabulary_, sample.user, sample.item, {}),
          .main = options_.words.own(tokens)};
}

Sequence Sampler::recommendation(const StepId& id, int64_t user) const {
  const std::span<const int32_t> all = corpus_.items(user, Part::kTrain);
  std::vector<int32_t> visible = shuffled(all, key(Purpose::kMasking, id, user));
  const auto share = static_cast<std::ptrdiff_t>(options_.masking * static_cast<double>(all.size()));
  const auto first_visible =
      visible.begin() + std::clamp(share, std::ptrdiff_t{1}, static_cast<std::ptrdiff_t>(all.size()));
  Sequence sequence{.targets = {visible.begin(), first_visible}, .user = user};
  visible.erase(visible.begin(), first_visible);
  if (options_.loss.finetune_targets == FinetuneTargets::kAllTrain) sequence.targets.assign(all.begin(), all.end());
  std::sort(sequence.targets.begin(), sequence.targets.end());

  CounterRng dropout(key(Purpose::kVisibleOrder, id, user));
  if (options_.item_dropout > 0)
    std::erase_if(visible, [&](int32_t) { return dropout.uniform() < options_.item_dropout; });
  const std::span<const int32_t> oldest_first = corpus_.history(user, Part::kTrain);
  if (options_.loss.item_order == ItemOrder::kAscending) std::sort(visible.begin(), visible.end());
  if (options_.loss.item_order == ItemOrder::kTime) put_in_order_of(oldest_first, visible);
  keep_some(visible, max_prompt_items_, oldest_first);
  sequence.prompt = of_history(id, user).fill(vocabulary_, user, -1, visible);
  return sequence;
}

RecBatch Sampler::ranking_prompts(std::span<const int64_t> users, StepKind kind) const {
  std::vector<RankingQuery> queries;
  for (const int64_t user : users) {
    const auto items = corpus_.history(user, Part::kTrain);
    queries.push_back({.user = user, .history = {items.begin(), items.end()}});
  }
  return ranking_prompts(queries, kind);
}

RecBatch Sampler::ranking_prompts(std::span<const RankingQuery> queries, StepKind kind, int64_t order) const {
  if (kind == StepKind::kContent) throw std::invalid_argument("ranking_prompts: no ranking by the content model");
  const Vocabulary& vocabulary = vocabulary_;
  const bool recommend = kind == StepKind::kRecommendation;
  std::vector<Sequence> sequences;
  for (const RankingQuery& query : queries) {
    const PromptTemplate& prompt = query.user >= 0 ? (recommend ? prompts_.recommendation : prompts_.collaborative)
                                   : recommend     ? recommendation_without_user_
                                                   : collaborative_without_user_;
    std::vector<int32_t> ascending = query.history;
    std::sort(ascending.begin(), ascending.end());
    const uint64_t who = prompt.names(Kind::kUser) ? static_cast<uint64_t>(query.user) : key_of(ascending);
    std::vector<int32_t> items =
        in_order(options_.loss.item_order, ascending, query.history,
                 stream_key(options_.seed, Purpose::kVisibleOrder, kRankingOrder - static_cast<uint64_t>(order), who));
    keep_some(items, recommend ? max_prompt_items_ : max_main_items_, query.history);
    Sequence sequence{.prompt = prompt.fill(vocabulary, query.user, -1, items)};
    if (!recommend) {
      for (const int32_t item : items) sequence.prompt.push_back(vocabulary.item_token(item));
      sequence.shown = static_cast<int32_t>(items.size());
    }
    sequences.push_back(std::move(sequence));
  }
  const GroupTotals one_group{{static_cast<int64_t>(queries.size())}};
  return collate(sequences, StepKind::kRecommendation, one_group, vocabulary, options_.loss);
}

}  // namespace cllm
