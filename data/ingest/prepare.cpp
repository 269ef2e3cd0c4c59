#include "data/ingest/prepare.h"

#include <algorithm>
#include <cstdio>

#include "data/corpus/manifest.h"
#include "data/errors.h"
#include "data/ingest/extend.h"
#include "data/ingest/filter.h"
#include "data/ingest/interactions.h"
#include "data/ingest/shard_writer.h"
#include "data/ingest/split.h"
#include "data/ingest/storage/staging.h"
#include "data/ingest/texts.h"
#include "data/ingest/time_cut.h"
#include "data/ingest/tokenize.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMinMemory = uint64_t{64} << 20;

void require(bool ok, const std::string& message) {
  if (!ok) throw DataError(message);
}

void check(const PrepareOptions& options) {
  require(!options.output.empty(), "prepare: no output folder is given");
  require(options.tokenizer.empty() != (options.train_tokenizer == 0),
          "prepare: give either a folder with tokenizer files or the size of a tokenizer to train, not both or none");
  require(options.train_tokenizer == 0 || options.train_tokenizer >= 257,
          "prepare: a tokenizer to train needs a size of at least 257");
  require(options.memory_bytes >= kMinMemory, "prepare: the memory limit must be at least 64 MiB");
  require(options.shard_bytes > 0 && options.shard_bytes <= options.memory_bytes / 8,
          "prepare: shards of " + std::to_string(options.shard_bytes >> 20) +
              " MiB; they may have at most an eighth of the memory limit of " +
              std::to_string(options.memory_bytes >> 20) + " MiB");
  require(options.k_core >= 0 && options.min_history >= 0, "prepare: k-core and minimum history must not be negative");
  require(options.max_text_tokens > 0, "prepare: the maximum of text tokens must be positive");
  require(options.error_limit >= 0 && options.error_limit <= 1,
          "prepare: the error limit is a share of the rows, 0 .. 1");
  require((options.split == SplitMethod::kFile) == !options.split_file.empty(),
          "prepare: a split file belongs to the split 'file' and only to it");
  check_time_shares(options.time_shares);
}

const char* name(SplitMethod split) {
  switch (split) {
    case SplitMethod::kRandom: return "random";
    case SplitMethod::kLeaveLastOut: return "leave_last_out";
    case SplitMethod::kTime: return "time";
    default: return "file";
  }
}

/// Everything that decides the content; no folder names, no memory or thread numbers.
Json options_as_json(const PrepareOptions& options, const Source& source) {
  Json json;
  std::vector<fs::path> files = source.interaction_files();
  for (const auto& file : source.text_files()) {
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }
  if (!options.split_file.empty()) files.push_back(options.split_file);
  for (const auto& file : files)
    json["input"].push_back({{"file", file.filename().string()}, {"bytes", input_bytes(file)}});
  const SourceOptions& from = options.source;
  if (from.format != "auto") json["format"] = from.format;
  if (!from.reading.encoding.empty()) json["encoding"] = from.reading.encoding;
  if (!from.reading.separator.empty()) json["separator"] = from.reading.separator;
  if (!from.columns.empty()) json["columns"] = from.columns;
  json["rating_threshold"] = options.rating_threshold ? Json(*options.rating_threshold) : Json();
  json["k_core"] = options.k_core;
  json["min_history"] = options.min_history;
  json["split"] = name(options.split);
  if (options.split == SplitMethod::kTime) json["split_shares"] = options.time_shares;
  json["seed"] = options.seed;
  json["tokenizer"] = options.tokenizer.empty() ? "trained" : "given";
  json["train_tokenizer"] = options.train_tokenizer;
  json["max_text_tokens"] = options.max_text_tokens;
  json["error_limit"] = options.error_limit;
  json["merge_duplicates"] = options.merge_duplicates;
  json["shard_bytes"] = options.shard_bytes;
  return json;
}

Json report_as_json(const PrepareReport& report) {
  Json json = {{"rows_read", report.rows_read},
               {"below_threshold", report.below_threshold},
               {"duplicates_merged", report.duplicates_merged},
               {"without_time", report.without_time},
               {"filtered_interactions", report.filtered_interactions},
               {"filtered_users", report.filtered_users},
               {"filtered_items", report.filtered_items},
               {"split_rows_unused", report.split_rows_unused},
               {"held_out_texts_left_out", report.held_out_texts},
               {"unused_texts", report.unused_texts},
               {"cut_texts", report.cut_texts},
               {"bad_rows", Json::array()}};
  if (report.old_users > 0) {
    json["known_interactions"] = report.known_interactions;
    json["known_texts"] = report.known_texts;
  }
  if (const auto& split = report.time_split) {
    const auto time = [](const std::optional<int64_t>& t) { return t ? Json(*t) : Json(); };
    json["time_split"] = {{"validation_from", time(split->validation_from)},
                          {"test_from", time(split->test_from)},
                          {"late_users", split->late_users},
                          {"late_items", split->late_items}};
  }
  for (const auto& bad : report.bad_rows) {
    json["bad_rows"].push_back({{"problem", bad.problem}, {"count", bad.count}, {"examples", bad.examples}});
  }
  return json;
}

void fill_report(IngestFolder& work, const CorpusManifest& manifest) {
  PrepareReport& report = work.report;
  report.vocabulary = manifest.vocabulary;
  report.old_users = std::ssize(work.old_users);
  report.old_items = std::ssize(work.old_items);
  report.num_interactions = manifest.num_interactions;
  report.num_texts = manifest.num_texts;
  report.num_text_tokens = manifest.num_text_tokens;
  report.rows_read = work.log.rows();
  report.without_time = work.timed_rows > 0 ? work.rows - work.timed_rows : 0;
  report.notices = work.log.notes();
  if (work.timed_rows == 0 && work.options.split == SplitMethod::kLeaveLastOut)
    report.notices.emplace_back("no interaction has a time: the last of a user is the last in the file");
  for (size_t n = 0; n < kNumProblems; ++n) {
    const auto& tally = work.log.tally(static_cast<Problem>(n));
    if (tally.count > 0)
      report.bad_rows.push_back({std::string(ProblemLog::name(static_cast<Problem>(n))), tally.count, tally.examples});
  }
}

/// Of what is found an error, where the person asked for it.
void refuse_leaks(const PrepareReport& report) {
  std::string all;
  for (const LeakCheck& leak : report.leaks) {
    all += (all.empty() ? "" : "; ") + std::to_string(leak.found) + " " + leak.what +
           (leak.examples.empty() ? "" : ", such as " + leak.examples[0]);
  }
  require(all.empty(), "held-out data are in the texts that are trained on: " + all +
                           "; take these texts out, or leave --strict out and the corpus is written");
}

/// Files that could be read and are not.
std::string unread_files(const PrepareOptions& options, const Source& source) {
  std::vector<fs::path> files = source.interaction_files(), read, unread;
  for (const auto& file : source.text_files()) files.push_back(file);
  for (const auto& file : files) {
    read.push_back(file);
    for (const auto& part : input_parts(file)) read.push_back(part);
    for (const auto& part : empty_parts(file)) read.push_back(part);
  }
  if (!options.split_file.empty()) read.push_back(options.split_file);
  for (const fs::path& file : input_files(options.input)) {
    const std::string name = lower_case(bare_name(file).string());
    const bool about = name.starts_with("readme") || name.starts_with("license");
    const bool used = std::any_of(read.begin(), read.end(), [&](const fs::path& one) {
      std::error_code ignored;
      return one == file || fs::equivalent(one, file, ignored);
    });
    if (!about && !used && kind_of_file(file) != nullptr) unread.push_back(file);
  }
  return unread.empty() ? "" : "not read: " + list_of_names(unread);
}

void add_notices(const PrepareOptions& options, Source& source, PrepareReport& report) {
  if (!source.notice().empty()) report.notices.push_back(source.notice());
  if (const std::string unread = unread_files(options, source); !unread.empty()) report.notices.push_back(unread);
  const fs::path parent = options.output.has_parent_path() ? options.output.parent_path() : fs::path(".");
  const std::string prefix = options.output.filename().string() + ".tmp-";
  for (const auto& entry : fs::directory_iterator(parent)) {
    if (entry.path().filename().string().starts_with(prefix)) {
      report.notices.push_back(entry.path().string() +
                               ": left by a run that was killed, or is still running; delete it in the first case");
    }
  }
}

/// Nothing, if nothing is unusual.
std::string leak_table(const PrepareReport& report) {
  std::string out;
  for (const LeakCheck& leak : report.leaks) {
    char row[200];
    std::snprintf(row, sizeof row, "    %-64s %9llu %11.1f %9llu\n", leak.what.c_str(),
                  static_cast<unsigned long long>(leak.found), leak.by_chance,
                  static_cast<unsigned long long>(leak.looked_at));
    if (out.empty()) {
      char head[200];
      std::snprintf(head, sizeof head, "    %-64s %9s %11s %9s\n", "", "found", "by chance", "of");
      out = std::string("  WARNING: held-out data in the texts that are trained on (--strict: an error)\n") + head;
    }
    out += row;
    for (const std::string& example : leak.examples) out += "      " + example + "\n";
  }
  return out;
}

}  // namespace

PrepareReport prepare(const PrepareOptions& asked) {
  PrepareOptions options = asked;
  const std::optional<Predecessor> before = open_predecessor(options);
  check(options);
  options.output =
      place_of_corpus(options.output, options.overwrite, {options.input, options.source.texts, options.split_file});
  const std::unique_ptr<Source> source = open_source(options.input, options.source);
  StagingFolder staging(options.output);
  IngestFolder work{options, staging.path(), {}, {}, {}, false, false, {}, 0, 0, 0};
  CorpusManifest manifest;
  if (before) begin_with(*before, work, manifest);

  RecordFile<Pair> pairs = collect_interactions(*source, work);
  const InternalIds ids = filter_and_permute(pairs, work);
  manifest.columns = {true, work.timed_rows > 0, work.rated_rows > 0, true, before.has_value()};
  manifest.vocabulary.num_users = ids.num_users;
  manifest.vocabulary.num_items = ids.num_items;
  RecordFile<PackedPair> held_out(work.folder);
  {
    ExternalSorter<SplitPair> split(work.folder, options.memory_bytes / 4);
    split_interactions(pairs, ids, work, split);
    write_users(split, ids, work, manifest, held_out);
  }
  write_items(ids, work, manifest);

  TextSpool spool(work.folder);
  if (before) add_old_texts(*before, work, spool);
  collect_texts(*source, ids, held_out, work, manifest.text_kinds, spool);
  if (options.strict) refuse_leaks(work.report);
  work.report.cut_texts = tokenize(spool,
                                   {work.folder, options.tokenizer, options.train_tokenizer, options.max_text_tokens,
                                    options.shard_bytes, options.threads, options.progress},
                                   manifest);

  fill_report(work, manifest);
  manifest.options = options_as_json(options, *source);
  if (before) keep_origin(*before, manifest.options);
  manifest.report = report_as_json(work.report);
  write_small_file(work.folder / kManifestName, manifest.to_text());
  sync_to_disk(work.folder / kManifestName);
  staging.publish();
  add_notices(options, *source, work.report);
  return work.report;
}

std::string describe(const PrepareReport& report) {
  const auto line = [](const std::string& what, uint64_t count) {
    return count == 0 ? "" : "  " + what + ": " + std::to_string(count) + "\n";
  };
  const auto& counts = report.num_interactions;
  std::string out = std::to_string(report.vocabulary.num_users) + " users, " +
                    std::to_string(report.vocabulary.num_items) + " items, " +
                    std::to_string(counts[0] + counts[1] + counts[2]) + " interactions (" + std::to_string(counts[0]) +
                    " train, " + std::to_string(counts[1]) + " validation, " + std::to_string(counts[2]) + " test), " +
                    std::to_string(report.num_texts) + " texts of " + std::to_string(report.num_text_tokens) +
                    " tokens, " + std::to_string(report.vocabulary.num_words) + " words\n";
  if (report.old_users > 0) {
    out += "  extends a corpus of " + std::to_string(report.old_users) + " users and " +
           std::to_string(report.old_items) +
           " items: " + std::to_string(report.vocabulary.num_users - report.old_users) + " users and " +
           std::to_string(report.vocabulary.num_items - report.old_items) + " items are new\n" +
           line("interactions that it has already", report.known_interactions) +
           line("texts that it has already", report.known_texts);
  }
  if (const auto& split = report.time_split) {
    const auto from = [](const std::optional<int64_t>& time) { return time ? std::to_string(*time) : "never"; };
    out += "  split by time: validation from " + from(split->validation_from) + ", test from " +
           from(split->test_from) + "\n" + line("users without training interactions", split->late_users) +
           line("items without training interactions", split->late_items);
  }
  out += line("rows read", report.rows_read) + line("interactions below the rating threshold", report.below_threshold) +
         line("repeated interactions merged", report.duplicates_merged) +
         line("interactions without a time (first in their histories)", report.without_time) +
         line("interactions removed by k-core and minimum history", report.filtered_interactions) +
         line("users removed", report.filtered_users) + line("items removed", report.filtered_items) +
         line("rows of the split file without use", report.split_rows_unused) +
         line("texts of held-out pairs left out", report.held_out_texts) +
         line("texts left out (empty, or not of this corpus)", report.unused_texts) +
         line("texts cut", report.cut_texts);
  for (const auto& bad : report.bad_rows) {
    out += line("bad rows left out, " + bad.problem, bad.count);
    for (const std::string& example : bad.examples) out += "    " + example + "\n";
  }
  out += leak_table(report);
  for (const std::string& notice : report.notices) out += "  note: " + notice + "\n";
  return out;
}

}  // namespace cllm
