// GroupLens' data sets: CSV (ml-latest*, ml-20m, ml-25m, ml-32m), ml-1m and ml-10m (::), ml-100k (tab and |).

#include <algorithm>
#include <array>

#include "data/ingest/formats/id_columns.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/formats/tables.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

std::string with_commas(std::string_view genres) {
  std::string out;
  if (genres == "(no genres listed)") return out;
  for (const char c : genres) out += c == '|' ? ", " : std::string(1, c);
  return out;
}

class MovieLens : public Tables {
 public:
  fs::path movies, tags;

  void read_texts(RowSink& sink, Intake& intake) override {
    if (!movies.empty()) read_movies(sink, intake);
    if (!tags.empty()) read_tags(sink, intake);
  }
  std::vector<fs::path> text_files() const override {
    std::vector<fs::path> files;
    if (!movies.empty()) files.push_back(movies);
    if (!tags.empty()) files.push_back(tags);
    return files;
  }

 protected:
  virtual void read_movies(RowSink& sink, Intake& intake) const {
    const Column title = column_named("title", {"title", "movie_title", "name"});
    TableReader rows(
        movies, {{called(column(Role::kItem), names_.item_name), title, column_named("genres", {"genres"}, false)}},
        intake);
    tell_of_other_ids(rows, 0, called(column(Role::kItem), names_.item_name), Role::kItem, intake.log);
    while (rows.next()) {
      const std::string genres = with_commas(rows.field(2));
      sink.text({{}, rows.field(0), "title", rows.field(1), rows.origin()});
      sink.text({{}, rows.field(0), "genres", genres, rows.origin()});
    }
  }

 private:
  /// A tag is the text of a pair, so that the tags of a held-out pair can be left out. Those of one pair stand together
  /// in the file.
  void read_tags(RowSink& sink, Intake& intake) const {
    TableReader rows(tags,
                     {{called(column(Role::kUser), names_.user_name), called(column(Role::kItem), names_.item_name),
                       column_named("tag", {"tag"}), column(Role::kTime, false)}},
                     intake);
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

/// The old data sets are Latin-1, but copies in UTF-8 go about.
ReadingOptions reading_of_old(const fs::path& path, ReadingOptions reading, const std::string& separator) {
  reading.separator = separator;
  if (!reading.encoding.empty()) return reading;
  for (const fs::path& part : input_parts(path)) {
    LineReader lines(part);
    for (std::string_view line; reading.encoding.empty() && lines.next(line);) {
      if (!is_utf8(line)) reading.encoding = "ISO-8859-1";
    }
  }
  return reading;
}

class MovieLens1m : public MovieLens {
 protected:
  void read_movies(RowSink& sink, Intake& intake) const override {
    Intake old{intake.log, intake.on_bytes, reading_of_old(movies, intake.reading, "::"), intake.columns};
    MovieLens::read_movies(sink, old);
  }
};

class MovieLens100k : public MovieLens {
 protected:
  /// movie id | title | release date | video release date | IMDb URL | a flag for each of 19 genres
  void read_movies(RowSink& sink, Intake& intake) const override {
    static constexpr std::array<std::string_view, 19> kGenres = {
        "unknown",     "Action", "Adventure", "Animation", "Children's", "Comedy",  "Crime",
        "Documentary", "Drama",  "Fantasy",   "Film-Noir", "Horror",     "Musical", "Mystery",
        "Romance",     "Sci-Fi", "Thriller",  "War",       "Western"};
    Intake old{intake.log, intake.on_bytes, reading_of_old(movies, intake.reading, "|"), {}};
    constexpr size_t kFirstGenre = 5;
    TableSpec spec{{column_named("item", {}), column_named("title", {})}};
    while (spec.columns.size() < kFirstGenre + kGenres.size()) spec.columns.push_back(column_named("", {}, false));
    TableReader rows(movies, spec, old);
    while (rows.next()) {
      std::string genres;
      for (size_t n = 1; n < kGenres.size(); ++n) {
        if (rows.field(kFirstGenre + n) == "1") genres.append(genres.empty() ? "" : ", ").append(kGenres[n]);
      }
      sink.text({{}, rows.field(0), "title", rows.field(1), rows.origin()});
      sink.text({{}, rows.field(0), "genres", genres, rows.origin()});
    }
  }
};

/// Other data sets (goodbooks) have a tags.csv without users.
bool names_users(const fs::path& table) {
  const std::vector<std::string> users = column(Role::kUser).names;
  return !table.empty() && std::ranges::any_of(names_in(table, {}), [&](const std::string& name) {
    return std::ranges::find(users, folded(name)) != users.end();
  });
}

template <typename Kind>
std::unique_ptr<Source> open_kind(const InputFolder& input, const std::string& ratings, const std::string& movies,
                                  const std::string& tags) {
  auto source = std::make_unique<Kind>();
  const fs::path found = file_named(input.files, ratings);
  if (found.empty()) return nullptr;
  source->interactions.push_back({found});
  source->movies = file_named(input.files, movies);
  if (const fs::path file = tags.empty() ? fs::path() : file_named(input.files, tags); names_users(file))
    source->tags = file;
  return source;
}

}  // namespace

std::unique_ptr<Source> open_movielens(const InputFolder& input, const SourceOptions&) {
  return open_kind<MovieLens>(input, "ratings.csv", "movies.csv", "tags.csv");
}

std::unique_ptr<Source> open_movielens_1m(const InputFolder& input, const SourceOptions&) {
  return open_kind<MovieLens1m>(input, "ratings.dat", "movies.dat", "");
}

std::unique_ptr<Source> open_movielens_100k(const InputFolder& input, const SourceOptions&) {
  return open_kind<MovieLens100k>(input, "u.data", "u.item", "");
}

}  // namespace cllm
