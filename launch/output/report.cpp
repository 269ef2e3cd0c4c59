#include "launch/output/report.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>

#include "launch/config/config.h"
#include "launch/config/text.h"
#include "launch/output/append_file.h"
#include "launch/output/baselines.h"
#include "launch/output/metrics.h"
#include "launch/output/report_style.h"
#include "launch/output/svg_chart.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using Records = std::vector<MetricsRecord>;
using Row = std::vector<std::string>;

/// A key of the configuration as it stands in config.toml.
struct ConfigLine {
  std::string section, key, value;
  bool operator==(const ConfigLine&) const = default;
};

const std::map<std::string, std::string> kReadable = {{"L", "L-steps"},
                                                      {"C", "C-steps"},
                                                      {"F", "finetuning steps"},
                                                      {"warmup", "Content warm-up"},
                                                      {"mutual", "Mutual pretraining"},
                                                      {"finetune", "Finetuning"},
                                                      {"lm", "language-model loss"},
                                                      {"mr", "mutual regularisation (without λ)"},
                                                      {"loss", "loss"},
                                                      {"popularity", "popularity"},
                                                      {"item_cosine", "item cosine"}};

std::string readable(const std::string& name) {
  const auto found = kReadable.find(name);
  return found == kReadable.end() ? name : found->second;
}

std::string metric_name(std::string name) {
  if (name.starts_with("recall@")) name.replace(0, 6, "Recall");
  if (name.starts_with("ndcg@")) name.replace(0, 4, "NDCG");
  return name;
}

std::string four_decimals(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

std::string table_row(const Row& cells, const std::string& tag, const std::string& row_class = "") {
  std::string html = row_class.empty() ? "<tr>" : "<tr class=" + row_class + ">";
  for (const auto& cell : cells) html += "<" + tag + ">" + html_escape(cell) + "</" + tag + ">";
  return html + "</tr>\n";
}

std::vector<std::string> stages_of(const Records& records) {
  std::vector<std::string> stages;
  for (const auto& record : records) {
    if (std::ranges::find(stages, record.stage) == stages.end()) stages.push_back(record.stage);
  }
  return stages;
}

/// One chart per kind of loss, one line per kind of step.
std::string loss_charts(const Records& records, const std::string& stage) {
  std::map<std::string, std::map<std::string, Series>> charts;  // "loss", "lm", "mr" -> "L", "C", "F" -> line
  for (const auto& record : records) {
    if (record.stage != stage || record.event != "step") continue;
    for (const auto& [name, value] : record.values) {  // "L/loss"
      const size_t slash = name.find('/');
      if (slash == std::string::npos) continue;
      const std::string kind = name.substr(0, slash);
      Series& series = charts[name.substr(slash + 1)][kind];
      series.name = readable(kind);
      series.points.emplace_back(static_cast<double>(record.step), value);
    }
  }
  std::string html;
  for (const std::string name : {"loss", "lm", "mr"}) {
    std::vector<Series> lines;
    for (auto& [kind, series] : charts[name]) lines.push_back(std::move(series));
    html += svg_chart({readable(name), "step"}, lines);
  }
  return html.empty() ? "" : "<h2>" + html_escape(readable(stage)) + "</h2><div class=charts>" + html + "</div>\n";
}

std::string validation_chart(const Records& records) {
  std::map<std::string, Series> lines;
  for (const auto& record : records) {
    if (record.event != "validation") continue;
    for (const auto& [name, value] : record.values) {
      lines[name].name = metric_name(name);
      lines[name].points.emplace_back(static_cast<double>(record.step), value);
    }
  }
  std::vector<Series> series;
  for (auto& [name, line] : lines) series.push_back(std::move(line));
  const std::string chart = svg_chart({"validation metrics", "step"}, series);
  return chart.empty() ? "" : "<h2>Validation</h2><div class=\"charts wide\">" + chart + "</div>\n";
}

/// The values of the last test record, in the order they were written; empty if the run has not got there.
std::vector<std::pair<std::string, double>> test_metrics(const Records& records) {
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (record->event == "test") return record->values;
  }
  return {};
}

std::string tiles(const Records& records) {
  std::string html;
  for (const auto& [name, value] : test_metrics(records)) {
    html += "<div class=tile><b>" + four_decimals(value) + "</b><span>test " + html_escape(metric_name(name)) +
            "</span></div>";
  }
  return html.empty() ? "" : "<div class=tiles>" + html + "</div>\n";
}

std::string metrics_table(const Records& records, const Baselines& baselines) {
  const auto own = test_metrics(records);
  if (own.empty()) return "";
  Row head = {"model"}, values = {"this run"};
  for (const auto& [name, value] : own) {
    head.push_back(metric_name(name));
    values.push_back(four_decimals(value));
  }
  std::string html = table_row(head, "th") + table_row(values, "td", "own");
  for (const auto& [model, baseline] : baselines) {
    if (!baseline.not_run.empty()) {
      html += "<tr><td>" + html_escape(readable(model)) + "</td><td class=why colspan=" + std::to_string(own.size()) +
              ">not run: " + html_escape(baseline.not_run) + "</td></tr>";
      continue;
    }
    const MetricValues& metrics = baseline.values;
    Row row = {readable(model)};
    for (const auto& [name, value] : own) row.push_back(metrics.contains(name) ? four_decimals(metrics.at(name)) : "–");
    html += table_row(row, "td");
  }
  return "<h2>Test metrics</h2><div class=table><table>" + html + "</table></div>\n";
}

/// The mean or total of a quantity of timing.jsonl as people read it. What it is says its name: rates, bytes and shares
/// are means over a stage's records, times are totals.
struct Timing {
  std::string what, value;
};

Timing readable_timing(const std::string& name, double sum, int64_t count) {
  const double mean = sum / static_cast<double>(count);
  const auto without = [&](size_t ending) { return name.substr(0, name.size() - ending); };
  Timing out{name, format_number(mean)};
  if (name.ends_with("_per_s"))
    out = {without(6), format_count(mean) + " /s"};
  else if (name.ends_with("_bytes"))
    out = {name, format_count(mean) + "B per step"};
  else if (name.ends_with("_s"))
    out = {without(2), format_duration(sum)};
  else if (name == "mfu" || name.starts_with("exposed"))
    out.value = format_number(std::round(1000 * mean) / 10) + " %";
  std::ranges::replace(out.what, '_', ' ');
  return out;
}

std::string timing_table(const Records& timing) {
  std::string html;
  for (const auto& stage : stages_of(timing)) {
    std::map<std::pair<std::string, std::string>, std::pair<double, int64_t>> sums;  // by event and name
    for (const auto& record : timing) {
      if (record.stage != stage) continue;
      for (const auto& [name, value] : record.values) {
        auto& [sum, count] = sums[{record.event, name}];
        sum += value;
        ++count;
      }
    }
    for (const auto& [key, sum] : sums) {
      const Timing row = readable_timing(key.second, sum.first, sum.second);
      html += table_row({readable(stage), key.first + " " + row.what, row.value}, "td");
    }
  }
  if (html.empty()) return "";
  return "<h2>Timing</h2><div class=table><table>" + table_row({"stage", "what", "total or mean"}, "th") + html +
         "</table></div>\n";
}

/// The text is to_toml()'s, so a line is a section, a key with its value, or empty.
std::vector<ConfigLine> config_lines(const std::string& toml) {
  std::vector<ConfigLine> lines;
  std::string section;
  for (const auto& line : split(toml, '\n')) {
    const size_t equals = line.find(" = ");
    if (line.starts_with("[") && line.ends_with("]"))
      section = line.substr(1, line.size() - 2);
    else if (equals != std::string::npos)
      lines.push_back({section, line.substr(0, equals), line.substr(equals + 3)});
  }
  return lines;
}

/// The defaults of the model that the lines name; those of runs of before there were others have no name.
RunConfig defaults_of(const std::vector<ConfigLine>& lines) {
  for (const auto& line : lines) {
    if (line.section == "model" && line.key == "name" && line.value.size() > 2) {
      return default_config(line.value.substr(1, line.value.size() - 2));  // without quotes
    }
  }
  return default_config(RunConfig().model);
}

std::string config_tables(const std::string& toml) {
  const std::vector<ConfigLine> lines = config_lines(toml), defaults = config_lines(to_toml(defaults_of(lines)));
  std::string html, section;
  for (const auto& line : lines) {
    if (line.section != section) {
      html += std::string(section.empty() ? "" : "</table></div>") + "<div class=table><h3>" +
              html_escape(line.section) + "</h3><table>";
      section = line.section;
    }
    const bool changed = std::ranges::find(defaults, line) == defaults.end();
    html += table_row({line.key, line.value}, "td", changed ? "changed" : "");
  }
  if (html.empty()) return "";
  return "<h2>Configuration</h2><p>Marked: other than the default.</p><div class=sections>" + html +
         "</table></div></div>\n";
}

}  // namespace

void write_report(const std::string& run_dir) {
  const fs::path folder = run_dir;
  const Records records = read_metrics(folder / "metrics.jsonl"), timing = read_metrics(folder / "timing.jsonl");
  const std::string name = html_escape(fs::weakly_canonical(folder).filename());
  std::string body = "<h1>" + name + "</h1><p>cllm4rec training run</p>" + tiles(records);
  body += metrics_table(records, read_baselines(run_dir)) + validation_chart(records);
  for (const auto& stage : stages_of(records)) body += loss_charts(records, stage);
  body += timing_table(timing) + config_tables(read_whole_file(folder / "config.toml"));
  write_whole_file(folder / "report.html",
                   "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport "
                   "content=\"width=device-width,initial-scale=1\"><title>" +
                       name + "</title><style>" + kReportStyle + "</style></head><body><main>\n" + body +
                       "</main></body></html>\n");
}

}  // namespace cllm
