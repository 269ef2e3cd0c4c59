#include "launch/run/selection.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "launch/failures/errors.h"

namespace cllm {
namespace {

void add_once(std::vector<int64_t>& ks, int64_t k) {
  if (std::find(ks.begin(), ks.end(), k) == ks.end()) ks.push_back(k);
}

}  // namespace

Selection::Selection(const std::string& text) {
  std::istringstream parts(text);
  for (std::string name; std::getline(parts, name, '+');) {
    const size_t at = name.find('@');
    const std::string metric = name.substr(0, at);
    int64_t k = 0;
    const char* const end = name.data() + name.size();
    const bool number = at != std::string::npos && std::from_chars(name.data() + at + 1, end, k).ptr == end && k > 0;
    if (!number || (metric != "recall" && metric != "ndcg")) {
      throw ConfigError("finetune.select = \"" + text + "\": \"" + name +
                        "\" is no metric; write recall@K and ndcg@K joined by '+'");
    }
    names_.push_back(name);
    add_once(metric == "recall" ? needed_.recall : needed_.ndcg, k);
  }
  if (names_.empty()) throw ConfigError("finetune.select is empty: write recall@K and ndcg@K joined by '+'");
}

double Selection::score(const std::map<std::string, double>& metrics) const {
  double sum = 0;
  for (const std::string& name : names_) sum += metrics.at(name);
  return sum;
}

MetricChoice Selection::with(MetricChoice ks) const {
  for (const int64_t k : needed_.recall) add_once(ks.recall, k);
  for (const int64_t k : needed_.ndcg) add_once(ks.ndcg, k);
  return ks;
}

}  // namespace cllm
