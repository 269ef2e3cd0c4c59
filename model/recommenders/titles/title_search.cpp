#include "model/recommenders/titles/title_search.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <utility>

#include "model/nn/heads/stand_behind.h"
#include "model/recommenders/word_step.h"
#include "model/step/batch_tensors.h"
#include "model/step/encode.h"

namespace cllm {
namespace {

constexpr int64_t kTokensAtATime = 1 << 12;  // of a pass of the backbone: bounds its memory

/// The best W of both.
template <typename Beam>
void keep_best(std::vector<Beam>& live, std::vector<ScoredTitle>& done, const TitleTrie& trie, int64_t beams) {
  struct Place {
    ScoredTitle of;  // of a beam: its first title
    size_t index;
    bool is_done;
  };
  std::vector<Place> all;
  for (size_t n = 0; n < live.size(); ++n)
    all.push_back({{trie.node(live[n].node).first_leaf, live[n].score}, n, false});
  for (size_t n = 0; n < done.size(); ++n) all.push_back({done[n], n, true});
  const auto kept = static_cast<int64_t>(std::min(all.size(), static_cast<size_t>(beams)));
  std::partial_sort(all.begin(), all.begin() + kept, all.end(),
                    [](const Place& a, const Place& b) { return a.of < b.of; });
  std::vector<Beam> best_live;
  std::vector<ScoredTitle> best_done;
  for (int64_t n = 0; n < kept; ++n) {
    const Place& place = all[static_cast<size_t>(n)];
    if (place.is_done) {
      best_done.push_back(done[place.index]);
    } else {
      best_live.push_back(live[place.index]);
    }
  }
  live = std::move(best_live);
  done = std::move(best_done);
}

}  // namespace

/// The tokens of the beginning.
std::span<const int32_t> TitleSearch::path(const TitleTrie::Node& node) const {
  return trie_.tokens(node.first_leaf).first(static_cast<size_t>(node.depth));
}

bool TitleSearch::is_alive(const TitleQuestion& question, const TitleTrie::Node& node) const {
  const auto first = std::ranges::lower_bound(question.dead_leaves, node.first_leaf),
             last = std::ranges::lower_bound(question.dead_leaves, node.last_leaf);
  return last - first < node.num_titles();
}

/// On the CPU a question's prompt is computed once before all beginnings that go on from it; elsewhere with each.
class TitleSearch::Pass {
 public:
  Pass(const Backbone& backbone, bool shares) : shares_(shares) {
    batch_.vocabulary.num_words = backbone.num_words();
    batch_.sequence_offsets = {0};
    batch_.target_offsets = {0};
  }

  void add(const Asked& asked, const TitleTrie& trie, std::span<const int32_t> path) {
    const TitleTrie::Node& node = trie.node(asked.beam->node);
    if (!shares_ || question_ != asked.question) open(*asked.question);
    if (node.is_title()) path = path.first(path.size() - 1);  // its end predicts nothing
    if (shares_ && !path.empty()) append(path, prompt_);
    if (!shares_) lengthen(path);
    const int64_t last = std::ssize(batch_.token_ids) - 1 - std::ssize(path);  // before the first token of the path
    for (int32_t k = asked.beam->scored; k < node.depth; ++k) {
      words_.ids.push_back(trie.tokens(node.first_leaf)[static_cast<size_t>(k)]);  // the only way on
      close(last + k);
    }
    if (node.is_title()) return;
    for (const TitleTrie::Node& child : trie.children(node)) words_.ids.push_back(child.token);
    close(last + node.depth);
  }

  /// ln P of the listed words, in the order in which they were added.
  std::vector<double> run(const Backbone& backbone, const ListedSoftmax& softmax, at::Device device) const {
    const heads::StandBehind behind(behind_);
    BatchTensors tensors = make_tensors(batch_, /*dropout=*/false, device);
    if (shares_) count_tokens_before(tensors.layout);
    tensors = upload(tensors, device);
    const at::Tensor hidden_AD = hidden_states(backbone, tensors.layout, word_inputs(backbone, tensors.tokens), {});
    return listed_log_probabilities(hidden_AD, backbone.text_head().detach(), words_, softmax);
  }

 private:
  void open(const TitleQuestion& question) {
    question_ = &question;
    prompt_ = batch_.num_sequences();
    append(question.prompt, -1);
  }
  void append(std::span<const int32_t> tokens, int64_t behind) {
    batch_.token_ids.insert(batch_.token_ids.end(), tokens.begin(), tokens.end());
    batch_.sequence_offsets.push_back(static_cast<int32_t>(batch_.token_ids.size()));
    behind_.push_back(behind);
  }
  void lengthen(std::span<const int32_t> tokens) {
    batch_.token_ids.insert(batch_.token_ids.end(), tokens.begin(), tokens.end());
    batch_.sequence_offsets.back() = static_cast<int32_t>(batch_.token_ids.size());
  }
  void close(int64_t row) {
    words_.offsets.push_back(std::ssize(words_.ids));
    batch_.active_rows.push_back(static_cast<int32_t>(row));
    batch_.target_offsets.push_back(0);
  }

  void count_tokens_before(PackedLayout& layout) const {
    auto* const position = layout.positions_T.mutable_data_ptr<int64_t>();
    const auto length = [&](int64_t b) { return layout.offsets[b + 1] - layout.offsets[b]; };
    for (int64_t b = 0; b < layout.num_sequences(); ++b) {
      const int64_t before = behind_[b] < 0 ? 0 : length(behind_[b]);
      for (int64_t t = layout.offsets[b]; t < layout.offsets[b + 1]; ++t) position[t] += before;
      layout.longest = std::max(layout.longest, before + length(b));
    }
  }

  bool shares_;
  Batch batch_;
  std::vector<int64_t> behind_;
  ListedWords words_;
  const TitleQuestion* question_ = nullptr;  // whose prompt was appended last
  int64_t prompt_ = 0;                       // which sequence it is
};

/// Scores the tokens of the beams that are not yet, and finds ln P of the children.
void TitleSearch::score(std::span<Asked> asked, const ListedSoftmax& softmax) const {
  Pass pass(backbone_, device_.is_cpu());
  for (const Asked& each : asked) pass.add(each, trie_, path(trie_.node(each.beam->node)));
  const std::vector<double> found = pass.run(backbone_, softmax, device_);
  auto next = found.begin();
  for (Asked& each : asked) {
    const TitleTrie::Node& node = trie_.node(each.beam->node);
    for (; each.beam->scored < node.depth; ++each.beam->scored) each.beam->score += *next++;
    each.children.assign(next, next + node.num_children);
    next += node.num_children;
  }
}

void TitleSearch::expand(const Asked& asked, bool restricted, State& next) const {
  const TitleTrie::Node& node = trie_.node(asked.beam->node);
  if (node.is_title()) return next.done.push_back({node.first_leaf, asked.beam->score});
  for (int32_t n = 0; n < node.num_children; ++n) {
    Beam child{node.first_child + n, node.depth + 1, asked.beam->score + asked.children[static_cast<size_t>(n)]};
    if (!is_alive(*asked.question, trie_.node(child.node))) continue;
    while (trie_.node(child.node).num_children == 1) child.node = trie_.node(child.node).first_child;
    const TitleTrie::Node& to = trie_.node(child.node);
    // What is left of a title costs nothing where no other word has a probability.
    if (to.is_title() && (restricted || child.scored == to.depth)) {
      next.done.push_back({to.first_leaf, child.score});
    } else {
      next.live.push_back(child);
    }
  }
}

std::vector<std::vector<ScoredTitle>> TitleSearch::best(std::span<const TitleQuestion> questions,
                                                        const Setup& setup) const {
  const at::NoGradGuard no_grad;
  std::vector<State> states(questions.size());
  for (size_t n = 0; n < questions.size(); ++n) {
    if (is_alive(questions[n], trie_.node(TitleTrie::kRoot))) states[n].live.emplace_back();
  }
  for (;;) {
    std::vector<Asked> asked;
    std::vector<size_t> of_question;
    for (size_t n = 0; n < questions.size(); ++n) {
      for (Beam& beam : states[n].live) {
        asked.push_back({&questions[n], &beam, {}});
        of_question.push_back(n);
      }
    }
    if (asked.empty()) break;
    for (size_t first = 0; first < asked.size();) {
      size_t last = first;
      for (int64_t tokens = 0; last < asked.size() && (last == first || tokens < kTokensAtATime); ++last) {
        const bool again = last > first && asked[last].question == asked[last - 1].question;
        tokens += (again && device_.is_cpu() ? 0 : std::ssize(asked[last].question->prompt)) +
                  trie_.node(asked[last].beam->node).depth;
      }
      score(std::span(asked).subspan(first, last - first), setup.softmax);
      first = last;
    }
    std::vector<State> next(questions.size());
    for (size_t n = 0; n < questions.size(); ++n) next[n].done = std::move(states[n].done);
    for (size_t n = 0; n < asked.size(); ++n) expand(asked[n], setup.softmax.restricted, next[of_question[n]]);
    for (State& state : next) keep_best(state.live, state.done, trie_, setup.beams);
    states = std::move(next);
  }
  std::vector<std::vector<ScoredTitle>> out;
  for (State& state : states) {
    std::sort(state.done.begin(), state.done.end());
    out.push_back(std::move(state.done));
  }
  return out;
}

}  // namespace cllm
