#pragma once

// Softmax over words with soft labels on few of them. Letters: A positions, K listed words of all positions, N words, D
// width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/losses/soft_labels.h"
#include "model/losses/softmax_head.h"

namespace cllm {

/// Words of every position (CSR), on the host.
struct ListedWords {
  std::vector<int64_t> offsets{0};  // [A+1]
  std::vector<int64_t> ids;         // [K] distinct within a position
};

/// y of the listed words, and the weight of the position in the loss. y sums to 1 in every position.
struct ListedLabels {
  ListedWords words;
  std::vector<double> labels;   // [K]
  std::vector<double> weights;  // [A]
};

/// Logits are h . w / temperature. restricted: no word but the listed has a probability.
struct ListedSoftmax {
  SoftForm form = SoftForm::kLogOutside;
  bool restricted = false;
  double temperature = 1;
};

/// As soft_item_softmax() for labels that are 0 at all words but the listed; with tau the temperature and Z the sum of
/// e^logit over all words, or over the listed:
///   log outside     weight (ln Z - ln sum_k y_k e^logit_k)     d/d (h . w) = weight (P - q) / tau, q ~ y P
///   cross-entropy   weight (ln Z - sum_k y_k logit_k)          d/d (h . w) = weight (P - y) / tau
/// Over all words it is text_softmax() with q or y as weights of the targets; with one listed word the same bits as
/// text_softmax(). `words_ND` in the dtype of hidden_AD. Local.
HeadResult listed_softmax(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const ListedLabels& labels,
                          const ListedSoftmax& softmax, bool want_weight_gradient);

/// ln P of the listed words [K]. Local, without a graph.
std::vector<double> listed_log_probabilities(const at::Tensor& hidden_AD, const at::Tensor& words_ND,
                                             const ListedWords& words, const ListedSoftmax& softmax);

}  // namespace cllm
