#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/ingest/source.h"
#include "model/evaluation/scorer.h"

namespace cllm {

/// Users of the corpus whose lists are asked for, in the order of the file.
struct AskedUsers {
  std::vector<int64_t> users;
  int64_t unknown = 0;
  std::string first_unknown;  // users.txt:3: user 'x'; what looks like it
};
/// One raw id per line. ConfigError if the file cannot be read or names no user of the corpus; with `strict` the first
/// unknown one is refused with its line.
AskedUsers read_users(const std::string& path, const Corpus& corpus, bool strict);
/// All users in the order of the input of prepare.
std::vector<int64_t> users_in_input_order(const Corpus& corpus);

/// What a file of items leaves of the corpus.
struct KeptItems {
  std::vector<int32_t> left_out;  // items of the corpus that it does not name, ascending
  int64_t unknown = 0;            // lines
  std::string first_unknown;
};
/// One raw id per line. ConfigError if the file cannot be read or names no item of the corpus; with `strict` the first
/// unknown one is refused with its line.
KeptItems keep_items(const std::string& path, const Corpus& corpus, bool strict);

/// Users that the corpus need not have, by their histories: any key, and items of the corpus.
struct AskedHistories {
  std::vector<std::string> keys;      // in the order of the file
  std::vector<RankingQuery> queries;  // of user -1; masked: the history
  int64_t unknown_items = 0;          // rows
  int64_t users_left_out = 0;         // with no item of the corpus
  std::string first_unknown;          // "histories.csv:7: item "x""
  std::vector<std::string> notes;     // how the file was read, bad rows
};
/// Any table of interactions that prepare reads: histories are in the order of time, equal times as in the file; of a
/// pair that comes again the first counts. DataError as of prepare; ConfigError if no user has an item of the corpus,
/// or, with `strict`, at an item that it has not.
AskedHistories read_histories(const std::string& path, const Corpus& corpus, const SourceOptions& options, bool strict);

}  // namespace cllm
