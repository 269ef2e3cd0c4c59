#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/ingest/source.h"

namespace cllm {

/// What lies at the place that the person named.
struct InputFolder {
  std::filesystem::path place;
  std::vector<std::filesystem::path> files;
  std::string unlike_parts = {};  // for people: numbered files that have other headers and were not joined
};

/// A layout of raw files. prepare, its --help and the detection share the one table of them.
struct Layout {
  std::string name;   // of --format
  std::string files;  // what it looks for, for people
  std::unique_ptr<Source> (*open)(const InputFolder& input, const SourceOptions& options);  // null: not there
};

/// train, validation or test, by one of the names of these, in any case; empty: none of them.
std::string part_called(const std::string& word);
/// "test.csv, train.csv: ...", and what to do, if files are named as two parts of one split; else empty.
std::string parts_of_a_split(const InputFolder& input);
/// The same folder with numbered parts of one table as one file: part-*.csv (input_parts()).
InputFolder with_joined_parts(const InputFolder& input, const ReadingOptions& reading);

/// Are files that would be read as one table named as parts of a split: some as one part, others as another or as none?
bool are_parts_of_a_split(const std::filesystem::path& place, const std::vector<std::filesystem::path>& files);
/// DataError if they are.
void refuse_parts_of_a_split(const std::filesystem::path& place, const std::vector<std::filesystem::path>& files);

/// In the order in which they are looked for.
const std::vector<Layout>& layouts();

std::unique_ptr<Source> open_own_layout(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_recbole(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_movielens(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_movielens_1m(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_movielens_100k(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_kuairec(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_kuairand(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_goodreads(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_steam(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_mind(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_lastfm_1k(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_lastfm_2k(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_yelp(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_amazon(const InputFolder& input, const SourceOptions& options);
std::unique_ptr<Source> open_one_table(const InputFolder& input, const SourceOptions& options);

}  // namespace cllm
