#include "model/recommenders/cllm4rec/text/text_options.h"

#include <string_view>

namespace cllm {

std::vector<std::string> TextRowsOptions::sources() const {
  constexpr std::string_view kAnd = " + ";
  std::vector<std::string> out;
  size_t begin = 0;
  for (size_t end = 0; end != std::string::npos; begin = end + kAnd.size()) {
    end = source.find(kAnd, begin);
    out.push_back(source.substr(begin, end - begin));
  }
  return out;
}

void describe(TextRowsOptions& o, Settings& settings) {
  const Settings own = {
      {"rows.text.source", &o.source,
       "rows of users and items are a learned map of frozen vectors of their texts, plus a part of their own; the "
       "vectors are of tf-idf, backbone (mean word embeddings) or a file NAME.safetensors (tensor vectors, raw item "
       "ids in NAME.ids.txt), or of several side by side: tf-idf + NAME.safetensors; none: rows are free"},
      {"rows.text.dims", &o.dims, "numbers of a vector, after whitening", between(1, 65536)},
      {"rows.text.bound", &o.bound, "longest own part of a row that has a text; 0: none", at_least(0)},
      {"rows.text.rate", &o.rate, "learning rate of the map relative to the rows'", at_least(0)},
      {"rows.text.shuffle", &o.shuffle, "deals the vectors to the items at random: a control"}};
  settings.insert(settings.end(), own.begin(), own.end());
}

}  // namespace cllm
