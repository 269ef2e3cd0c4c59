#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cllm {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x ascending; points that are not finite are left out
};

struct ChartText {
  std::string title;
  std::string x_label;
};

/// A line chart as one HTML <figure> with inline SVG: title, legend with last values, grid, axes. Colours are the CSS
/// variables --series-1 .. --series-6, so that the page decides about light and dark. Long series are thinned to bucket
/// means. The vertical axis spans at least a tenth of the values, so that noise does not look like a trend.
std::string svg_chart(const ChartText& text, const std::vector<Series>& series);

/// `text` with &, <, > and quotes made harmless for HTML.
std::string html_escape(const std::string& text);

/// About `count` round values (1, 2 or 5 times a power of ten apart) inside [low, high].
std::vector<double> axis_ticks(double low, double high, int count);

}  // namespace cllm
