#include "launch/output/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "launch/config/text.h"

namespace cllm {
namespace {

constexpr size_t kMaxPoints = 300;  // more would not be seen at this width
constexpr int kNumColours = 6;
constexpr double kLeastRange = 0.1;  // of an axis, as a share of its values

/// Drawing area in SVG units; the viewBox scales it to the page.
struct Frame {
  double left = 52, right = 548, top = 10, bottom = 196;
  double x_low = 0, x_high = 1, y_low = 0, y_high = 1;

  double x(double value) const { return left + (value - x_low) / (x_high - x_low) * (right - left); }
  double y(double value) const { return bottom - (value - y_low) / (y_high - y_low) * (bottom - top); }
};

Series thinned(const Series& in) {
  Series out{in.name, {}};
  for (const auto& point : in.points) {
    if (std::isfinite(point.first) && std::isfinite(point.second)) out.points.push_back(point);
  }
  if (out.points.size() <= kMaxPoints) return out;
  std::vector<std::pair<double, double>> means(kMaxPoints);
  for (size_t bucket = 0; bucket < kMaxPoints; ++bucket) {
    const size_t begin = bucket * out.points.size() / kMaxPoints, end = (bucket + 1) * out.points.size() / kMaxPoints;
    for (size_t i = begin; i < end; ++i) {
      means[bucket].first += out.points[i].first / static_cast<double>(end - begin);
      means[bucket].second += out.points[i].second / static_cast<double>(end - begin);
    }
  }
  out.points = std::move(means);
  return out;
}

/// A range that is at least `least` of its values' size (1 where all are 0), around their middle: the noise of a flat
/// or short line must not fill the chart.
void widen(double& low, double& high, double least, double margin) {
  const double size = std::max(std::abs(low), std::abs(high)), missing = (size > 0 ? least * size : 1) - (high - low);
  if (missing > 0) {
    low -= missing / 2;
    high += missing / 2;
  }
  const double extra = margin * (high - low);
  low -= extra;
  high += extra;
}

Frame frame_of(const std::vector<Series>& series) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  Frame frame{.x_low = kInf, .x_high = -kInf, .y_low = kInf, .y_high = -kInf};
  for (const auto& line : series) {
    for (const auto& [x, y] : line.points) {
      frame.x_low = std::min(frame.x_low, x);
      frame.x_high = std::max(frame.x_high, x);
      frame.y_low = std::min(frame.y_low, y);
      frame.y_high = std::max(frame.y_high, y);
    }
  }
  widen(frame.x_low, frame.x_high, frame.x_low < frame.x_high ? 0 : kLeastRange, 0);
  widen(frame.y_low, frame.y_high, kLeastRange, 0.04);
  return frame;
}

std::string coordinate(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string axes(const Frame& frame, const std::string& x_label) {
  std::string svg;
  const std::string left = coordinate(frame.left), right = coordinate(frame.right), bottom = coordinate(frame.bottom);
  for (double tick : axis_ticks(frame.y_low, frame.y_high, 5)) {
    const std::string y = coordinate(frame.y(tick));
    svg += "<line class=grid x1=" + left + " x2=" + right + " y1=" + y + " y2=" + y + " />";
    svg += "<text class=tick text-anchor=end x=" + coordinate(frame.left - 6) + " y=" + coordinate(frame.y(tick) + 4) +
           ">" + format_number(tick) + "</text>";
  }
  for (double tick : axis_ticks(frame.x_low, frame.x_high, 6)) {
    svg += "<text class=tick text-anchor=middle x=" + coordinate(frame.x(tick)) +
           " y=" + coordinate(frame.bottom + 16) + ">" + format_count(tick) + "</text>";
  }
  svg += "<line class=axis x1=" + left + " x2=" + right + " y1=" + bottom + " y2=" + bottom + " />";
  return svg + "<text class=tick text-anchor=end x=" + right + " y=" + coordinate(frame.bottom + 32) + ">" +
         html_escape(x_label) + "</text>";
}

std::string colour(size_t index) { return "var(--series-" + std::to_string(index % kNumColours + 1) + ")"; }

std::string line(const Frame& frame, const Series& series, size_t index) {
  std::string path;
  for (const auto& [x, y] : series.points) path += coordinate(frame.x(x)) + "," + coordinate(frame.y(y)) + " ";
  const auto& [x, y] = series.points.back();
  return "<polyline points=\"" + path + "\" style=\"stroke:" + colour(index) +
         "\" /><circle r=3 cx=" + coordinate(frame.x(x)) + " cy=" + coordinate(frame.y(y)) +
         " style=\"fill:" + colour(index) + "\" />";
}

}  // namespace

std::string html_escape(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::vector<double> axis_ticks(double low, double high, int count) {
  const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10);
  std::vector<double> ticks;
  for (double n = std::ceil(low / step); n * step <= high; ++n) ticks.push_back(n == 0 ? 0 : n * step);
  return ticks;
}

std::string svg_chart(const ChartText& text, const std::vector<Series>& series) {
  std::vector<Series> drawn;
  for (const auto& one : series) {
    drawn.push_back(thinned(one));
    if (drawn.back().points.empty()) drawn.pop_back();
  }
  if (drawn.empty()) return "";
  const Frame frame = frame_of(drawn);
  std::string legend, lines;
  for (size_t i = 0; i < drawn.size(); ++i) {
    legend += "<span><i style=\"background:" + colour(i) + "\"></i>" + html_escape(drawn[i].name) + " <b>" +
              format_number(std::round(drawn[i].points.back().second * 1e4) / 1e4) + "</b></span>";
    lines += line(frame, drawn[i], i);
  }
  return "<figure><figcaption>" + html_escape(text.title) + "</figcaption><div class=legend>" + legend +
         "</div><svg viewBox=\"0 0 560 232\" role=img aria-label=\"" + html_escape(text.title) + "\">" +
         axes(frame, text.x_label) + lines + "</svg></figure>\n";
}

}  // namespace cllm
