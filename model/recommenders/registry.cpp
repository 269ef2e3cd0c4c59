#include "model/recommenders/registry.h"

#include <algorithm>
#include <vector>

#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "model/recommenders/closed_form/ease.h"
#include "model/recommenders/closed_form/ease_text.h"
#include "model/recommenders/closed_form/item_cosine.h"
#include "model/recommenders/closed_form/popularity.h"
#include "model/recommenders/ials/ials.h"
#include "model/recommenders/language_model/language_model.h"
#include "model/recommenders/multi_vae/multi_vae.h"
#include "model/recommenders/sasrec/sasrec.h"
#include "model/recommenders/titles/titles.h"

namespace cllm {

std::span<const Model> models() {
  static const std::vector<Model> kModels{cllm4rec_model(), language_model(),  popularity_model(), item_cosine_model(),
                                          ease_model(),     ease_text_model(), ials_model(),       multi_vae_model(),
                                          sasrec_model(),   titles_model()};
  return kModels;
}

const Model* find_model(std::string_view name) {
  const auto found = std::ranges::find(models(), name, &Model::name);
  return found == models().end() ? nullptr : &*found;
}

}  // namespace cllm
