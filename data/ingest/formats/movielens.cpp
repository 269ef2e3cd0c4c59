// GroupLens' CSV layout (ml-latest*, ml-20m, ml-25m, ml-32m): ratings.csv, movies.csv, optional tags.csv.

#include <algorithm>

#include "data/ingest/source.h"

namespace cllm {
namespace {

const std::vector<std::string> kUser = {"userId"};
const std::vector<std::string> kItem = {"movieId"};

class MovieLens : public Source {
 public:
  std::filesystem::path ratings, movies, tags;

  void read_interactions(RowSink& sink, Intake& intake) override {
    read_interaction_table(ratings, {kUser, kItem, {"timestamp"}, {"rating"}}, sink, intake);
  }

  void read_texts(RowSink& sink, Intake& intake) override {
    if (!movies.empty()) read_movies(sink, intake);
    if (!tags.empty()) read_tags(sink, intake);
  }

  std::vector<std::filesystem::path> interaction_files() const override { return {ratings}; }
  std::vector<std::filesystem::path> text_files() const override {
    std::vector<std::filesystem::path> files;
    if (!movies.empty()) files.push_back(movies);
    if (!tags.empty()) files.push_back(tags);
    return files;
  }

 private:
  void read_movies(RowSink& sink, Intake& intake) const {
    TableReader rows(movies, {{kItem}, {{"title"}}, {{"genres"}, false}}, intake);
    std::string genres;
    while (rows.next()) {
      sink.text({{}, rows.field(0), "title", rows.field(1), rows.origin()});
      genres.clear();
      for (const char c : rows.field(2)) genres += c == '|' ? ", " : std::string(1, c);
      if (genres == "(no genres listed)") genres.clear();
      sink.text({{}, rows.field(0), "genres", genres, rows.origin()});
    }
  }

  /// A tag is the text of a pair, so that the tags of a held-out pair can be left out. Those of one pair stand together
  /// in the file.
  void read_tags(RowSink& sink, Intake& intake) const {
    TableReader rows(tags, {{kUser}, {kItem}, {{"tag"}}, {{"timestamp"}, false}}, intake);
    std::string user, item, text;
    Origin origin;
    const auto flush = [&] {
      if (!text.empty()) sink.text({user, item, "tags", text, origin});
      text.clear();
    };
    while (rows.next()) {
      if (rows.field(0) != user || rows.field(1) != item) flush();
      if (text.empty()) origin = rows.origin();
      user = rows.field(0);
      item = rows.field(1);
      if (!text.empty()) text += ", ";
      text += rows.field(2);
    }
    flush();
  }
};

std::filesystem::path existing(const std::filesystem::path& dir, const std::string& name) {
  for (const auto& path : {dir / name, dir / (name + ".gz")}) {
    if (std::filesystem::exists(path)) return path;
  }
  return {};
}

}  // namespace

std::unique_ptr<Source> open_movielens(const std::filesystem::path& dir) {
  auto source = std::make_unique<MovieLens>();
  source->ratings = existing(dir, "ratings.csv");
  if (source->ratings.empty()) return nullptr;
  source->movies = existing(dir, "movies.csv");
  source->tags = existing(dir, "tags.csv");
  return source;
}

}  // namespace cllm
