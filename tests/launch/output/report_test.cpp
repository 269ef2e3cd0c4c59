#include "launch/output/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <regex>

#include "launch/config/config.h"
#include "launch/config/text.h"
#include "launch/output/append_file.h"
#include "launch/output/baselines.h"
#include "launch/output/metrics.h"
#include "launch/output/svg_chart.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class Report : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }

  /// A run of two stages with everything that a report shows; the configuration holds a text that tries to break out of
  /// the page.
  void make_run() {
    MetricsWriter writer(dir_, {}, std::nullopt);
    for (int64_t step = 1; step <= 1000; ++step) {
      const double loss = 3 + 5 * std::exp(-static_cast<double>(step) / 200);
      const std::string stage = step <= 300 ? "warmup" : "mutual", kind = step <= 300 || step % 2 ? "C" : "L";
      writer.write(
          {step,
           stage,
           "step",
           {{kind + "/loss", loss}, {kind + "/lm", 0.9 * loss}, {kind + "/mr", 0.1}},
           {{"tokens_per_s", 4e4}, {"exchanged_bytes", 1.2e6}, {"exposed_communication", 0.031}, {"mfu", 0.4}}});
      if (step % 100 == 0)
        writer.write(
            {step, stage, "validation", {{"recall@20", 0.3 - 1 / loss}, {"ndcg@100", 0.2}}, {{"validation_s", 2}}});
    }
    writer.write({1000, "test", "test", {{"recall@20", 0.25125}, {"ndcg@100", 0.2251}}});
    write_baselines(dir_, {{"popularity", {.values = {{"recall@20", 0.16}}}},
                           {"item_cosine", {.values = {{"recall@20", 0.27}, {"ndcg@100", 0.236}}}},
                           {"ease", {.not_run = "ease: <9> items need more"}}});
    RunConfig config = default_config("cllm4rec");
    config.run.corpus = "<script>alert(1)</script>";
    write_whole_file(dir_ + "/config.toml", to_toml(config));
  }

  std::string report() {
    write_report(dir_);
    return read_whole_file(dir_ + "/report.html");
  }

  std::string dir_ = ::testing::TempDir() + "report_test";
};

/// Every element that HTML requires to be closed is closed, in order.
void expect_balanced(const std::string& html) {
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z0-9]+)([^>]*)>");
  for (std::sregex_iterator it(html.begin(), html.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if (name == "meta" || (*it)[3].str().ends_with("/")) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
    } else {
      ASSERT_FALSE(open.empty()) << "nothing open at </" << name << ">";
      ASSERT_EQ(open.back(), name);
      open.pop_back();
    }
  }
  EXPECT_THAT(open, ElementsAre());
}

TEST_F(Report, IsOneWellFormedPageWithoutOutsideResources) {
  make_run();
  const std::string html = report();
  expect_balanced(html);
  for (const char* outside : {"http:", "https:", "src=", "<link", "<script", "@import", "url("})
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)"));
}

TEST_F(Report, ShowsTestMetricsBesideTheBaselines) {
  make_run();
  const std::string html = report();
  EXPECT_THAT(html, HasSubstr("<tr class=own><td>this run</td><td>0.2512</td><td>0.2251</td></tr>"));
  EXPECT_THAT(html, HasSubstr("<td>item cosine</td><td>0.2700</td><td>0.2360</td>"));
  EXPECT_THAT(html, HasSubstr("<td>popularity</td><td>0.1600</td><td>–</td>"));
  EXPECT_THAT(html, HasSubstr("<td>ease</td><td class=why colspan=2>not run: ease: &lt;9&gt; items need more</td>"));
}

TEST_F(Report, HasThreeLossChartsPerStageAndOneOfValidation) {
  make_run();
  const std::string html = report();
  const std::regex figure("<figure>");
  EXPECT_EQ(std::distance(std::sregex_iterator(html.begin(), html.end(), figure), std::sregex_iterator()), 3 + 3 + 1);
}

TEST_F(Report, TimingTableGivesBytesSharesRatesAndTimesInTheirOwnUnits) {
  make_run();
  const std::string html = report();
  for (const char* row : {"step exchanged bytes</td><td>1.20MB per step", "step exposed communication</td><td>3.1 %",
                          "step mfu</td><td>40 %", "step tokens</td><td>40.0k /s", "validation validation</td><td>6s"})
    EXPECT_THAT(html, HasSubstr(row));
}

TEST_F(Report, OfARunThatHasJustBegunIsStillAPage) {
  const std::string html = report();
  expect_balanced(html);
  EXPECT_THAT(html, Not(HasSubstr("<figure>")));
}

TEST(SvgChart, TicksAreRoundAndInside) {
  EXPECT_THAT(axis_ticks(0, 1, 5), ElementsAre(0, 0.2, 0.4, ::testing::DoubleEq(0.6), 0.8, 1));
  EXPECT_THAT(axis_ticks(-3, 12, 3), ElementsAre(0, 5, 10));
}

TEST(SvgChart, LongSeriesAreThinnedAndNansLeftOut) {
  Series line{"a", {}};
  for (int i = 0; i < 100000; ++i) line.points.emplace_back(i, i % 7 == 0 ? std::nan("") : i);
  const std::string svg = svg_chart({"t", "x"}, {line});
  EXPECT_LT(svg.size(), 8000u);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

/// Heights of the points of the first line, in SVG units.
std::vector<double> heights(const std::string& svg) {
  const std::string start = "<polyline points=\"";
  const size_t begin = svg.find(start) + start.size();
  std::vector<double> out;
  for (const auto& point : split(svg.substr(begin, svg.find('"', begin) - begin), ' '))
    if (const size_t comma = point.find(','); comma != std::string::npos)
      out.push_back(std::stod(point.substr(comma + 1)));
  return out;
}

TEST(SvgChart, NoiseOfAShortLineDoesNotFillTheChartButATrendDoes) {
  const std::vector<double> noise = heights(svg_chart({"t", "x"}, {{"a", {{1, 7.01}, {2, 7.00}, {3, 7.02}}}}));
  const std::vector<double> trend = heights(svg_chart({"t", "x"}, {{"a", {{1, 7}, {2, 6}, {3, 4}}}}));
  ASSERT_EQ(noise.size(), 3u);
  EXPECT_LT(std::ranges::max(noise) - std::ranges::min(noise), 10);
  EXPECT_GT(std::ranges::max(trend) - std::ranges::min(trend), 150);
}

TEST(SvgChart, FlatLineAndSinglePointAreDrawn) {
  EXPECT_THAT(svg_chart({"t", "x"}, {{"a", {{1, 0}}}}), Not(HasSubstr("nan")));
  EXPECT_THAT(svg_chart({"t", "x"}, {{"a", {{1, 5}, {2, 5}}}}), Not(HasSubstr("inf")));
  EXPECT_EQ(svg_chart({"t", "x"}, {{"a", {}}}), "");
}

}  // namespace
}  // namespace cllm
