#include "launch/embed/text_vectors.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <fstream>

#include "data/errors.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"

namespace cllm {
namespace {

constexpr int64_t kBlock = 64;  // texts in a forward pass: the same ones for any number of ranks, so the same bits

/// Texts about one id alone, in the corpus' order.
std::vector<int64_t> texts_of_ids(const Corpus& corpus) {
  std::vector<int64_t> out;
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if ((text.user >= 0) != (text.item >= 0)) out.push_back(n);
  }
  if (out.empty())
    throw DataError(corpus.dir().string() + ": no user or item has texts; prepare it with items.csv or users.csv");
  return out;
}

/// Vectors of texts, block by block.
class Embedder {
 public:
  Embedder(const Corpus& corpus, const Tokenizer& tokenizer, const Backbone& backbone, const EmbedOptions& options)
      : corpus_(corpus), tokenizer_(tokenizer), backbone_(backbone), options_(options) {
    if (options_.layer < 0) options_.layer = backbone.num_layers();
    if (options_.layer > backbone.num_layers())
      throw ModelError("--layer " + std::to_string(options_.layer) + ": the backbone has " +
                       std::to_string(backbone.num_layers()) + "; 0 are its word embeddings");
    if (tokenizer.size() > backbone.num_words())
      throw ModelError(
          "the backbone has " + std::to_string(backbone.num_words()) + " words, its tokenizer " +
          std::to_string(tokenizer.size()) +
          ": take both from one model, or, if tokens were added, model.resize_token_embeddings(len(tokenizer))");
  }

  /// [texts, D] fp32.
  at::Tensor vectors(std::span<const int64_t> texts) {
    const at::NoGradGuard no_grad;
    std::vector<int64_t> ids, lengths;
    for (const int64_t text : texts) {
      const std::vector<int32_t> tokens = read(text);
      ids.insert(ids.end(), tokens.begin(), tokens.end());
      lengths.push_back(std::ssize(tokens));
    }
    const at::Tensor x_TD = backbone_.word_embedding().index_select(0, at::tensor(ids, at::kLong)).to(at::kFloat);
    const at::Tensor states_TD =
        options_.layer == 0 ? x_TD : backbone_.states_after(options_.layer, x_TD, make_layout(lengths, at::kCPU));
    std::vector<at::Tensor> out;
    int64_t first = 0;
    for (const int64_t length : lengths) {
      out.push_back(pooled(states_TD.narrow(0, first, length).to(at::kFloat)));
      first += length;
    }
    return at::stack(out);
  }

  int64_t num_cut() const { return num_cut_; }

 private:
  std::vector<int32_t> read(int64_t text) {
    std::vector<int32_t> tokens = tokenizer_.encode(corpus_.raw_text(text), {.around = true});
    const int64_t most = std::min(options_.max_tokens, backbone_.max_positions());
    if (std::ssize(tokens) > most) {
      tokens.resize(static_cast<size_t>(most));
      ++num_cut_;
    }
    if (tokens.empty())
      throw DataError("text " + std::to_string(text) + " has no word of the backbone's tokenizer: remove it");
    return tokens;
  }

  at::Tensor pooled(const at::Tensor& states_tD) const {
    const int64_t length = states_tD.size(0);
    if (options_.pool == Pool::kLast) return states_tD[length - 1];
    const int64_t around = backbone_.is_causal() ? std::ssize(tokenizer_.start_of_text()) : 0;
    const int64_t first = std::min(around, length - 1);
    return states_tD.narrow(0, first, length - first).mean(0);
  }

  const Corpus& corpus_;
  const Tokenizer& tokenizer_;
  const Backbone& backbone_;
  EmbedOptions options_;
  int64_t num_cut_ = 0;
};

/// Sums over the texts of every id, in the order of the texts.
class Means {
 public:
  Means(int64_t num_ids, int64_t width)
      : sums_(at::zeros({num_ids, width}, at::kDouble)), counts_(static_cast<size_t>(num_ids)) {}

  void add(int64_t id, const at::Tensor& vector_D) {
    sums_[id].add_(vector_D);
    ++counts_[static_cast<size_t>(id)];
  }

  template <typename RawId, typename Place>
  IdVectors take(const RawId& raw_id, const Place& place) const {
    std::vector<int64_t> ids;
    for (int64_t id = 0; id < std::ssize(counts_); ++id) {
      if (counts_[static_cast<size_t>(id)] > 0) ids.push_back(id);
    }
    std::ranges::sort(ids, {}, place);
    IdVectors out{{}, at::empty({std::ssize(ids), sums_.size(1)}, at::kFloat)};
    for (const int64_t id : ids) {
      const auto texts = static_cast<double>(counts_[static_cast<size_t>(id)]);
      out.vectors_nD[std::ssize(out.raw_ids)].copy_(sums_[id] / texts);
      out.raw_ids.emplace_back(raw_id(id));
    }
    return out;
  }

 private:
  at::Tensor sums_;
  std::vector<int64_t> counts_;
};

/// In turns: every rank computes a block, then all go to rank 0, in order.
template <typename Use>
void for_each_vector(const std::vector<int64_t>& texts, Embedder& embedder, int64_t width, Communicator& comm,
                     const Use& use) {
  const int64_t all = std::ssize(texts), turn = kBlock * comm.world_size();
  for (int64_t first = 0; first < all; first += turn) {
    std::vector<int64_t> sizes(static_cast<size_t>(comm.world_size()));
    for (int64_t rank = 0; rank < comm.world_size(); ++rank)
      sizes[static_cast<size_t>(rank)] = std::clamp<int64_t>(all - first - kBlock * rank, 0, kBlock);
    const auto mine = static_cast<size_t>(sizes[static_cast<size_t>(comm.rank())]);
    at::Tensor here = at::empty({0, width}, at::kFloat);
    if (mine > 0)
      here = embedder.vectors(std::span(texts).subspan(static_cast<size_t>(first + kBlock * comm.rank()), mine));
    at::Tensor together = at::empty({std::min(turn, all - first), width}, at::kFloat);
    comm.all_gather(together, here, sizes);
    for (int64_t n = 0; n < together.size(0); ++n) use(texts[static_cast<size_t>(first + n)], together[n]);
  }
}

}  // namespace

TextVectorsOfCorpus embed_texts(const Corpus& corpus, const Tokenizer& tokenizer, const Backbone& backbone,
                                const EmbedOptions& options, Communicator& comm) {
  const std::vector<int64_t> texts = texts_of_ids(corpus);
  Embedder embedder(corpus, tokenizer, backbone, options);
  const Vocabulary& vocabulary = corpus.vocabulary();
  const bool keeps = comm.rank() == 0;
  Means users(keeps ? vocabulary.num_users : 0, backbone.width()),
      items(keeps ? vocabulary.num_items : 0, backbone.width());
  for_each_vector(texts, embedder, backbone.width(), comm, [&](int64_t text, const at::Tensor& vector_D) {
    if (!keeps) return;
    const TextSample sample = corpus.text(text);
    if (sample.user >= 0) users.add(sample.user, vector_D);
    if (sample.item >= 0) items.add(sample.item, vector_D);
  });
  at::Tensor cut = at::tensor({embedder.num_cut()}, at::kLong);
  comm.all_reduce(cut, ReduceOp::kSum);
  return {users.take([&](int64_t user) { return corpus.user_raw_id(user); },
                     [&](int64_t user) { return corpus.user_input_order(user); }),
          items.take([&](int64_t item) { return corpus.item_raw_id(item); },
                     [&](int64_t item) { return corpus.item_input_order(item); }),
          std::ssize(texts), cut.item<int64_t>()};
}

void write_vectors(const std::filesystem::path& path, const IdVectors& vectors) {
  std::filesystem::path ids = path;
  ids.replace_extension(".ids.txt");
  std::ofstream out(ids, std::ios::binary | std::ios::trunc);
  for (const std::string& id : vectors.raw_ids) {
    if (id.find('\n') != std::string::npos)
      throw DataError("raw id \"" + id + "\" has a line break, and " + ids.string() + " has an id a line: rename it");
    out << id << '\n';
  }
  if (!out.flush()) throw DataError(ids.string() + ": cannot write; make room, or choose another --output");
  write_safetensors(path.string(), {{"vectors", vectors.vectors_nD}});
}

}  // namespace cllm
