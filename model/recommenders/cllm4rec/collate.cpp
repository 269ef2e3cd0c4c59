#include "model/recommenders/cllm4rec/collate.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <tuple>

namespace cllm {
namespace {

class Collator {
 public:
  Collator(StepKind kind, const GroupTotals& totals, const Vocabulary& vocabulary, const LossOptions& options,
           const ObjectiveOptions& objective)
      : totals_(totals), options_(options), soft_(objective.is_soft() && kind != StepKind::kContent),
        set_(objective.target == LossTarget::kSet && kind == StepKind::kCollaborative),
        of_users_(objective.label_weight == LabelWeight::kUser) {
    batch_.kind = kind;
    batch_.vocabulary = vocabulary;
    batch_.num_groups = static_cast<int64_t>(totals.terms.size());
    batch_.sequence_offsets = {0};
    batch_.target_offsets = {0};
    if (soft_) batch_.histories.offsets = {0};
    const bool half = options.mr_scale == MrScale::kHalfPerDistinctId;
    batch_.mr.once_per_group = half;
    batch_.mr.scale = half ? 0.5 : 1.0;
  }

  void add(const Sequence& sequence) {
    if (sequence.group < 0 || sequence.group >= batch_.num_groups)
      throw std::invalid_argument("collate: group " + std::to_string(sequence.group) + " of " +
                                  std::to_string(batch_.num_groups));
    append(sequence.prompt);
    append(sequence.main);
    if (batch_.kind == StepKind::kRecommendation) {
      add_recommendation(sequence);
    } else {
      add_language(sequence);
    }
    batch_.sequence_offsets.push_back(static_cast<int32_t>(batch_.num_tokens()));
    batch_.prompt_lengths.push_back(static_cast<int32_t>(sequence.prompt.size()) - sequence.shown);
    batch_.sequence_keys.push_back(sequence.key);
  }

  RecBatch finish() {
    merge_covered();
    return std::move(batch_);
  }

 private:
  void append(const std::vector<int32_t>& tokens) {
    batch_.token_ids.insert(batch_.token_ids.end(), tokens.begin(), tokens.end());
  }

  /// The hidden state at P + k - 1 predicts main[k].
  void add_language(const Sequence& sequence) {
    const bool items = batch_.kind == StepKind::kCollaborative;
    const int32_t first_id = items ? batch_.vocabulary.item_token(0) : 0;
    double weight = weight_of(sequence.group, options_.lm_reduction == LmReduction::kTokenMean);
    if (items && of_users_) weight /= static_cast<double>(std::max<size_t>(num_positions(sequence), 1));
    const int32_t before_main = batch_.sequence_offsets.back() + static_cast<int32_t>(sequence.prompt.size()) - 1;
    for (const int32_t token : sequence.main) {
      const bool expected = items ? batch_.vocabulary.is_item(token) : batch_.vocabulary.is_word(token);
      if (!expected)
        throw std::invalid_argument("collate: main text with token " + std::to_string(token) +
                                    ": items only or words only");
    }
    const auto train = [&](size_t k) {
      batch_.active_rows.push_back(before_main + static_cast<int32_t>(k));
      if (!set_) add_target(sequence.main[k] - first_id, weight);
      close_targets();
      if (soft_ && items) see(static_cast<int64_t>(k), set_ ? weight : 0);
    };
    if (sequence.positions.empty()) {
      for (size_t k = first_main(); k < sequence.main.size(); ++k) train(k);
    }
    for (const int32_t k : sequence.positions) train(static_cast<size_t>(k));
    if (soft_ && items) add_history(sequence.main, sequence);
    cover(sequence.prompt, sequence.group);
    if (items) cover(sequence.main, sequence.group);
  }

  size_t first_main() const { return options_.train_first_main_token ? 0 : 1; }

  /// That a main text is trained at.
  size_t num_positions(const Sequence& sequence) const {
    return sequence.positions.empty() ? std::max(sequence.main.size(), first_main()) - first_main()
                                      : sequence.positions.size();
  }

  /// The last position of the prompt predicts all targets of the user.
  void add_recommendation(const Sequence& sequence) {
    if (sequence.prompt.empty() || !sequence.main.empty())
      throw std::invalid_argument("collate: a recommendation sequence has a prompt and no main text");
    const double weight = weight_of(sequence.group, options_.finetune_reduction == FinetuneReduction::kUserMean);
    batch_.active_rows.push_back(static_cast<int32_t>(batch_.num_tokens()) - 1);
    for (const int32_t item : sequence.targets) add_target(item, weight);
    close_targets();
    if (soft_) see(add_history(sequence.prompt, sequence), 0);
    cover(sequence.prompt, sequence.group);
    if (options_.finetune_mr == FinetuneMr::kPrompt) return;
    for (const int32_t item : sequence.targets) cover_token(batch_.vocabulary.item_token(item), sequence.group);
  }

  /// A position of the sequence that comes next in the histories.
  void see(int64_t shown, double rest_weight) {
    batch_.histories.sequence.push_back(static_cast<int64_t>(batch_.sequence_keys.size()));
    batch_.histories.shown.push_back(shown);
    batch_.histories.rest_weight.push_back(rest_weight);
  }

  /// Returns how many items `tokens` show.
  int64_t add_history(const std::vector<int32_t>& tokens, const Sequence& sequence) {
    HistoryLists& lists = batch_.histories;
    for (const int32_t token : tokens) {
      if (batch_.vocabulary.is_item(token)) lists.items.push_back(token - batch_.vocabulary.item_token(0));
    }
    const int64_t shown = std::ssize(lists.items) - lists.offsets.back();
    if (set_) lists.items.insert(lists.items.end(), sequence.targets.begin(), sequence.targets.end());
    lists.users.push_back(sequence.user);
    lists.offsets.push_back(std::ssize(lists.items));
    return shown;
  }

  double weight_of(int32_t group, bool mean) const {
    const int64_t terms =
        mean ? std::max<int64_t>(totals_.terms[static_cast<size_t>(group)], 1) : 1;  // 0 terms: never used
    return 1.0 / (static_cast<double>(batch_.num_groups) * static_cast<double>(terms));
  }

  void add_target(int32_t target, double weight) {
    const int64_t rows = batch_.kind == StepKind::kContent ? batch_.vocabulary.num_words : batch_.vocabulary.num_items;
    if (target < 0 || target >= rows)
      throw std::invalid_argument("collate: target " + std::to_string(target) + " of " + std::to_string(rows));
    batch_.targets.push_back(target);
    batch_.target_weights.push_back(weight);
  }

  void close_targets() { batch_.target_offsets.push_back(static_cast<int32_t>(batch_.targets.size())); }

  void cover(const std::vector<int32_t>& tokens, int32_t group) {
    for (const int32_t token : tokens) cover_token(token, group);
  }

  void cover_token(int32_t token, int32_t group) {
    if (!batch_.vocabulary.is_word(token)) batch_.mr.covered.push_back({batch_.vocabulary.row_of(token), group, 1});
  }

  /// One entry per (group, row), in that order.
  void merge_covered() {
    std::vector<CoveredRow>& covered = batch_.mr.covered;
    const auto key = [](const CoveredRow& entry) { return std::tuple(entry.group, entry.row); };
    std::sort(covered.begin(), covered.end(),
              [&](const CoveredRow& a, const CoveredRow& b) { return key(a) < key(b); });
    size_t kept = 0;
    for (size_t n = 0; n < covered.size(); ++n) {
      if (kept > 0 && key(covered[kept - 1]) == key(covered[n])) {
        covered[kept - 1].count += covered[n].count;
      } else {
        covered[kept++] = covered[n];
      }
    }
    covered.resize(kept);
  }

  const GroupTotals& totals_;
  const LossOptions& options_;
  bool soft_, set_, of_users_;
  RecBatch batch_;
};

}  // namespace

int64_t num_loss_terms(StepKind kind, const LossOptions& options, int64_t main_length,
                       const ObjectiveOptions& objective) {
  if (kind == StepKind::kRecommendation) return 1;
  const int64_t all = std::max<int64_t>(main_length - (options.train_first_main_token ? 0 : 1), 0);
  if (kind != StepKind::kCollaborative) return all;
  if (objective.label_weight == LabelWeight::kUser) return std::min<int64_t>(all, 1);
  return objective.positions > 0 ? std::min(all, objective.positions) : all;
}

RecBatch collate(std::span<const Sequence> mine, StepKind kind, const GroupTotals& totals, const Vocabulary& vocabulary,
                 const LossOptions& options, const ObjectiveOptions& objective) {
  Collator collator(kind, totals, vocabulary, options, objective);
  for (const Sequence& sequence : mine) collator.add(sequence);
  return collator.finish();
}

}  // namespace cllm
