#include "model/recommenders/titles/sequences.h"

#include <algorithm>
#include <string>
#include <utility>

#include "model/errors.h"

namespace cllm {

TitleSequences::TitleSequences(const TitleTrie& trie, std::vector<int32_t> opening, int64_t max_titles,
                               int64_t max_positions)
    : trie_(&trie), opening_(std::move(opening)), max_titles_(max_titles), max_positions_(max_positions) {
  const int64_t least = std::ssize(opening_) + 2 * trie.longest();
  if (least > max_positions) {
    throw OptionError("titles.max_tokens: a prompt of " + std::to_string(opening_.size()) +
                      " tokens and two titles of " + std::to_string(trie.longest()) +
                      " do not fit into the backbone's " + std::to_string(max_positions) +
                      " positions: lower it, or shorten titles.prompt");
  }
}

std::span<const int32_t> TitleSequences::shown(std::span<const int32_t> history) const {
  int64_t room = max_positions_ - std::ssize(opening_) - trie_->longest();
  size_t count = 0;
  while (count < history.size() && std::cmp_less(count, max_titles_)) {
    room -= std::ssize(title(history[history.size() - 1 - count]));
    if (room < 0) break;
    ++count;
  }
  return history.last(count);
}

std::vector<int32_t> TitleSequences::prompt(std::span<const int32_t> history) const {
  std::vector<int32_t> out = opening_;
  for (const int32_t item : shown(history)) {
    const auto tokens = title(item);
    out.insert(out.end(), tokens.begin(), tokens.end());
  }
  return out;
}

TitleSequences::Size TitleSequences::size_of(std::span<const int32_t> history, int64_t end,
                                             TitleTargets targets) const {
  Size out{.tokens = std::ssize(opening_) - 1};  // the last token predicts nothing and is left out
  const auto before = shown(history.first(static_cast<size_t>(end)));
  const auto add = [&](int32_t item, bool is_predicted) {
    out.tokens += std::ssize(title(item));
    out.predicted += is_predicted ? std::ssize(title(item)) : 0;
  };
  for (size_t n = 0; n < before.size(); ++n) add(before[n], targets == TitleTargets::kAll && n > 0);
  add(history[static_cast<size_t>(end)], true);
  return out;
}

/// Its first token was appended at `first_token`; each is predicted by the one before it.
void TitleSequences::append_target(int32_t item, int64_t first_token, double weight, TitleBatch& out) const {
  int32_t node = TitleTrie::kRoot;
  const auto tokens = title(item);
  for (size_t k = 0; k < tokens.size(); ++k) {
    out.batch.active_rows.push_back(static_cast<int32_t>(first_token) + static_cast<int32_t>(k) - 1);
    out.batch.targets.push_back(tokens[k]);
    out.batch.target_weights.push_back(weight);
    out.batch.target_offsets.push_back(static_cast<int32_t>(out.batch.targets.size()));
    out.nodes.push_back(node);
    out.position_A.push_back(std::ssize(out.histories.shown));
    node = trie_->child(node, tokens[k]);
  }
}

void TitleSequences::append(const TitleSample& sample, std::span<const int32_t> history, TitleTargets targets,
                            double weight, TitleBatch& out) const {
  Batch& batch = out.batch;
  HistoryLists& lists = out.histories;
  const auto known = history.first(static_cast<size_t>(sample.end));
  const auto before = shown(known);
  batch.token_ids.insert(batch.token_ids.end(), opening_.begin(), opening_.end());
  const auto write = [&](int32_t item, bool is_target, int64_t items_before) {
    const int64_t first = std::ssize(batch.token_ids);
    const auto tokens = title(item);
    batch.token_ids.insert(batch.token_ids.end(), tokens.begin(), tokens.end());
    if (!is_target) return;
    append_target(item, first, weight, out);
    lists.sequence.push_back(std::ssize(lists.users));
    lists.shown.push_back(items_before);
    lists.rest_weight.push_back(0);
  };
  const int64_t first_place = sample.end - std::ssize(before);
  for (size_t n = 0; n < before.size(); ++n)
    write(before[n], targets == TitleTargets::kAll && n > 0, first_place + static_cast<int64_t>(n));
  write(history[static_cast<size_t>(sample.end)], true, sample.end);
  batch.token_ids.pop_back();  // the last end predicts nothing
  batch.sequence_offsets.push_back(static_cast<int32_t>(batch.token_ids.size()));
  batch.sequence_keys.push_back(sample.key);
  lists.users.push_back(sample.user);
  lists.items.insert(lists.items.end(), known.begin(), known.end());
  lists.offsets.push_back(std::ssize(lists.items));
}

TitleBatch empty_titles(const Vocabulary& vocabulary) {
  TitleBatch out;
  out.batch.vocabulary = vocabulary;
  out.batch.sequence_offsets = {0};
  out.batch.target_offsets = {0};
  out.histories.offsets = {0};
  return out;
}

}  // namespace cllm
