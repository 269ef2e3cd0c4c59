#include "model/recommenders/multi_vae/options.h"

#include <algorithm>

namespace cllm {

double MultiVaeOptions::beta(int64_t step, int64_t num_steps) const {
  const double until_one = anneal_steps > 0 ? static_cast<double>(anneal_steps)
                                            : kRamp * static_cast<double>(num_steps) / std::max(beta_cap, 1e-9);
  return std::min(beta_cap, static_cast<double>(step) / std::max(until_one, 1.0));
}

void MultiVaeOptions::describe(Settings& settings) {
  settings.insert(
      settings.end(),
      {{"multi_vae.hidden", &hidden, "width of the hidden layers", between(1, 1 << 16)},
       {"multi_vae.latent", &latent, "width of the latent code", between(1, 1 << 16)},
       {"multi_vae.dropout", &dropout, "share of a user's items that an update does not see", between(0, 0.99)},
       {"multi_vae.beta_cap", &beta_cap, "largest weight of the KL divergence", between(0, 1)},
       {"multi_vae.anneal_steps", &anneal_steps,
        "the weight grows by 1 / anneal_steps per update, up to the cap; 0: it meets the cap after 85 % of the "
        "training",
        at_least(0)},
       {"multi_vae.epochs", &epochs, "passes over the users", at_least(0)},
       {"multi_vae.learning_rate", &learning_rate, "of Adam", between(0, 1)},
       {"multi_vae.batch_users", &batch_users, "users of an update, of all ranks together", between(1, 1 << 24)},
       {"multi_vae.patience", &patience,
        "validations without a better state after which training ends; 0: it runs to its end", at_least(0)}});
}

std::vector<SearchKey> MultiVaeOptions::search_space() const {
  return {{.key = "multi_vae.learning_rate", .min = 3e-4, .max = 5e-3, .log = true},
          {.key = "multi_vae.dropout", .min = 0.2, .max = 0.8},
          {.key = "multi_vae.beta_cap", .min = 0.02, .max = 1, .log = true},
          {.key = "multi_vae.latent", .choices = {"64", "128", "200"}},
          {.key = "multi_vae.batch_users", .choices = {"50", "100", "200", "500"}}};
}

}  // namespace cllm
