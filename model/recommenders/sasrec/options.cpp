#include "model/recommenders/sasrec/options.h"

#include <algorithm>

namespace cllm {

double SasrecOptions::gbce_beta(int64_t num_items) const {
  const double others = static_cast<double>(std::max<int64_t>(1, num_items - 1));
  return 1 - gbce_t * (1 - std::min(1.0, static_cast<double>(negatives) / others));
}

void SasrecOptions::describe(Settings& settings) {
  const std::vector<Setting> keys{
      enum_setting("sasrec.encoder", &encoder, "blocks as in the authors' code, or standard pre-norm blocks",
                   {{"authors", SasrecBlocks::kAuthors}, {"standard", SasrecBlocks::kStandard}}),
      enum_setting("sasrec.loss", &loss,
                   "bce: one negative per position; sampled: softmax over negatives; full: over all items; gbce",
                   {{"bce", SasrecLoss::kBce},
                    {"sampled", SasrecLoss::kSampled},
                    {"full", SasrecLoss::kFull},
                    {"gbce", SasrecLoss::kGbce}}),
      {"sasrec.width", &width, "of items and hidden states", between(1, 1 << 14)},
      {"sasrec.blocks", &blocks, "of attention", between(1, 256)},
      {"sasrec.heads", &heads, "of attention; they divide the width", between(1, 256)},
      {"sasrec.max_length", &max_length, "items of a history that the model sees, the latest", between(1, 1 << 16)},
      {"sasrec.dropout", &dropout, "of inputs, attention and inner layers", between(0, 0.99)},
      {"sasrec.negatives", &negatives, "of sampled and gbce", between(1, 1 << 20)},
      enum_setting("sasrec.negatives_of", &negatives_of, "who shares them: sequence, or all positions of an update",
                   {{"sequence", SasrecNegatives::kOfSequence}, {"update", SasrecNegatives::kOfUpdate}}),
      {"sasrec.gbce_t", &gbce_t, "calibration of gbce: 0 is bce, 1 removes all overconfidence", between(0, 1)},
      {"sasrec.epochs", &epochs, "passes over the users", at_least(0)},
      {"sasrec.learning_rate", &learning_rate, "of Adam", between(0, 1)},
      enum_setting("sasrec.decay", &decay, "of the learning rate from epoch to epoch",
                   {{"constant", EpochDecay::kConstant}, {"linear", EpochDecay::kLinear}}),
      {"sasrec.beta2", &beta2, "of Adam", between(0, 0.999999)},
      {"sasrec.batch_users", &batch_users, "users of an update, of all ranks together", between(1, 1 << 24)},
      {"sasrec.patience", &patience,
       "validations without a better state after which training ends; 0: it runs to its end", at_least(0)}};
  settings.insert(settings.end(), keys.begin(), keys.end());
}

std::vector<SearchKey> SasrecOptions::search_space() const {
  return {{.key = "sasrec.learning_rate", .min = 3e-4, .max = 5e-3, .log = true},
          {.key = "sasrec.dropout", .min = 0.1, .max = 0.7},
          {.key = "sasrec.width", .choices = {"64", "128"}},
          {.key = "sasrec.blocks", .choices = {"1", "2", "3"}},
          {.key = "sasrec.batch_users", .choices = {"64", "128", "256"}}};
}

std::string SasrecOptions::problem() const {
  if (width % heads == 0) return "";
  return "sasrec.width = " + std::to_string(width) + " is no multiple of sasrec.heads = " + std::to_string(heads) +
         ": choose a number of heads that divides the width";
}

}  // namespace cllm
