#include "model/recommenders/cllm4rec/text/make_text_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/random.h"
#include "model/errors.h"
#include "model/recommenders/cllm4rec/text/tf_idf.h"
#include "model/recommenders/cllm4rec/text/vector_file.h"
#include "model/recommenders/cllm4rec/text/whiten.h"
#include "model/recommenders/cllm4rec/text/word_means.h"
#include "model/tables/start_values.h"

namespace cllm {
namespace {

enum TextStart : uint64_t { kMap = 100, kShuffle };  // beside the sides of the tables

/// Mean word embeddings of all rows of a corpus, [users + items, D].
at::Tensor word_means(const Corpus& corpus, const Backbone& backbone, const WordSet& words) {
  const Vocabulary& vocabulary = corpus.vocabulary();
  const RowLayout whole(vocabulary.num_users, vocabulary.num_items, 0, 1);
  return centred_text_means(corpus, words, backbone.word_embedding().detach().cpu(), whole).to(at::kDouble);
}

using VectorsOf = std::function<at::Tensor(const Corpus&)>;  // [users + items, k], 0 for a row without text

/// Several side by side, each less its mean for `first` and at a mean square length of 1 there; one as it is.
VectorsOf side_by_side(std::vector<VectorsOf> sources, const Corpus& first) {
  if (sources.size() == 1) return sources[0];
  const auto has_text = [](const at::Tensor& raw_Vk) {
    return (raw_Vk.abs().sum(1, /*keepdim=*/true) > 0).to(at::kDouble);
  };
  std::vector<std::pair<at::Tensor, at::Tensor>> means_and_lengths;
  for (const VectorsOf& source : sources) {
    const at::Tensor raw_Vk = source(first), has_V1 = has_text(raw_Vk), rows = has_V1.sum().clamp_min(1);
    const at::Tensor mean_k = raw_Vk.sum(0) / rows;
    const at::Tensor square = ((raw_Vk - mean_k) * has_V1).square().sum() / rows;
    means_and_lengths.emplace_back(mean_k, square.clamp_min(1e-300).sqrt());
  }
  return [sources = std::move(sources), means_and_lengths, has_text](const Corpus& of) {
    std::vector<at::Tensor> out;
    for (size_t n = 0; n < sources.size(); ++n) {
      const at::Tensor raw_Vk = sources[n](of);
      out.push_back((raw_Vk - means_and_lengths[n].first) * has_text(raw_Vk) / means_and_lengths[n].second);
    }
    return at::cat(out, 1);
  };
}

/// Vectors of all rows, weighed and turned as for the corpus of the run that is the start.
at::Tensor text_vectors(const TextRowsOptions& text, const OpenArguments& arguments, const Backbone& backbone,
                        const WordSet& words) {
  const Corpus& corpus = arguments.corpus;
  const Vocabulary& vocabulary = corpus.vocabulary();
  const std::optional<Corpus> started_on = arguments.start_corpus ? arguments.start_corpus() : std::nullopt;
  const Corpus& first = started_on ? *started_on : corpus;
  if (started_on && text.shuffle) {
    throw OptionError(
        "rows.text.shuffle = true: texts were dealt among the rows of another corpus, and a run that "
        "starts from it cannot deal them again: leave init.run out");
  }
  std::vector<VectorsOf> sources;
  for (const std::string& name : text.sources()) {
    if (name == "tf-idf") {
      sources.emplace_back([tf_idf = TfIdf::of(first, text.dims)](const Corpus& of) { return tf_idf.vectors(of); });
    } else if (name == "backbone") {
      sources.emplace_back([&](const Corpus& of) { return word_means(of, backbone, words); });
    } else {
      sources.emplace_back([name](const Corpus& of) { return vectors_of_file(of, name); });
    }
  }
  const VectorsOf raw_vectors_of = side_by_side(std::move(sources), first);
  const at::Tensor raw_first = raw_vectors_of(first), raw = started_on ? raw_vectors_of(corpus) : raw_first;
  at::Tensor vectors_Vd = Whitening::of(raw_first, text.dims).apply(raw);
  if (vectors_Vd.abs().sum().item<double>() == 0)
    throw OptionError("rows.text.source = \"" + text.source + "\": no two users or items of " + first.dir().string() +
                      " have different texts: prepare it with texts, or set rows.text.source = \"none\"");
  if (!text.shuffle) return vectors_Vd;
  return shuffled_rows(vectors_Vd, vocabulary.num_users, vocabulary.num_users + vocabulary.num_items,
                       stream_key(arguments.run.seed, Purpose::kTableInit, kShuffle));
}

/// W with t W near what text_mean gives: (t^T t + ridge) W = t^T m.
at::Tensor fitted_map(const at::Tensor& vectors_Vd, const at::Tensor& means_VD) {
  constexpr double kRidge = 1e-6;  // of the mean of the diagonal: there may be directions without a vector
  at::Tensor gram_dd = at::mm(vectors_Vd.t(), vectors_Vd);
  const double ridge = kRidge * gram_dd.diagonal().mean().item<double>();
  gram_dd.diagonal().add_(ridge);
  return at::linalg_solve(gram_dd, at::mm(vectors_Vd.t(), means_VD));
}

at::Tensor start_of_map(const MapStart& start, const OpenArguments& arguments, const Backbone& backbone,
                        const WordSet& words, const at::Tensor& vectors_Vd) {
  if (start.fit_word_means) return fitted_map(vectors_Vd, word_means(arguments.corpus, backbone, words));
  const double std = start.std;
  return drawn_rows(vectors_Vd.size(1), backbone.width(), at::kDouble,
                    stream_key(arguments.run.seed, Purpose::kTableInit, kMap),
                    [std](CounterRng& random, int64_t) { return std * random.normal(); });
}

TextRows::Covered rows_with_vectors(const at::Tensor& vectors_Vd, const Vocabulary& vocabulary) {
  const at::Tensor has_V = vectors_Vd.abs().sum(1) > 0;
  return {has_V.narrow(0, 0, vocabulary.num_users).sum().item<int64_t>(),
          has_V.narrow(0, vocabulary.num_users, vocabulary.num_items).sum().item<int64_t>()};
}

}  // namespace

std::shared_ptr<TextRows> make_text_rows(const TextRowsOptions& text, const MapStart& start,
                                         const OpenArguments& arguments, const Backbone& backbone, const WordSet& words,
                                         Table& table) {
  if (!text.active()) return nullptr;
  const at::ScalarType dtype = table.compute_dtype();
  const RowLayout& layout = table.layout;
  at::Tensor mine_Vd = at::zeros({layout.num_local_rows(), text.dims}, at::kDouble),
             map_dD = at::zeros({text.dims, table.width()}, at::kDouble);
  TextRows::Covered covered;
  arguments.agreed([&] {
    if (arguments.run.bf16_tables || arguments.run.users_on_host) {
      throw OptionError("rows.text.source = \"" + text.source +
                        "\": rows of texts are kept in fp32, where the rank "
                        "computes: set run.table_precision = \"fp32\" and leave users where it does");
    }
    if (!arguments.to_train && !arguments.start_corpus) return;
    const at::Tensor vectors_Vd = text_vectors(text, arguments, backbone, words);
    covered = rows_with_vectors(vectors_Vd, arguments.corpus.vocabulary());
    map_dD = start_of_map(start, arguments, backbone, words, vectors_Vd);
    std::vector<int64_t> rows;
    for (int64_t local = 0; local < layout.num_local_rows(); ++local) rows.push_back(layout.global(local));
    mine_Vd = vectors_Vd.index_select(0, at::tensor(rows, at::kLong));
  });
  Table vectors;
  vectors.layout = layout;
  vectors.weight = mine_Vd.to(dtype);
  vectors.row_step = at::zeros({layout.num_local_rows()}, at::kInt);
  const at::Tensor has_text_V1 = (vectors.weight.abs().sum(1, /*keepdim=*/true) > 0).to(table.weight.device());
  table.weight.masked_fill_(has_text_V1, 0);
  move_table(vectors, arguments.device);
  vectors.row_step = vectors.row_step.to(arguments.device);
  return std::make_shared<TextRows>(std::move(vectors), map_dD.to(dtype).to(arguments.device).requires_grad_(true),
                                    text.bound, covered);
}

}  // namespace cllm
