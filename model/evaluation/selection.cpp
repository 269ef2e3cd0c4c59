#include "model/evaluation/selection.h"

#include <sstream>

#include "model/errors.h"

namespace cllm {

Selection::Selection(const std::string& text, const std::string& key) {
  std::istringstream parts(text);
  for (std::string name; std::getline(parts, name, '+');) needed_.add(parse_metric(name, key + " = \"" + text + "\""));
  if (needed_.empty()) throw ModelError(key + " is empty: write recall@K and ndcg@K joined by '+'");
}

double Selection::score(const std::map<std::string, double>& metrics) const {
  double sum = 0;
  for (const std::string& name : needed_.names()) sum += metrics.at(name);
  return sum;
}

MetricList Selection::with(MetricList metrics) const {
  for (const MetricAt& metric : needed_.all()) metrics.add(metric);
  return metrics;
}

}  // namespace cllm
