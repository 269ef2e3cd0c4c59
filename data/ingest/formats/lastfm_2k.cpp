// lastfm-2K of HetRec 2011: who listened to which artist how often.

#include "data/ingest/formats/layouts.h"
#include "data/ingest/formats/tables.h"

namespace cllm {

/// user_artists.dat: userID, artistID, weight (how often, no rating); artists.dat: id, name, url, pictureURL.
std::unique_ptr<Source> open_lastfm_2k(const InputFolder& input, const SourceOptions&) {
  const auto listened = file_named(input.files, "user_artists.dat"), artists = file_named(input.files, "artists.dat");
  if (listened.empty()) return nullptr;
  auto source = std::make_unique<Tables>();
  TableSpec spec = interaction_table();
  spec.columns[0] = column_named("user", {"userID"});
  spec.columns[1] = column_named("item", {"artistID"});
  source->interactions.push_back({listened, spec});
  if (!artists.empty())
    source->texts.push_back({artists, {{}, column_named("item", {"id"}), {column_named("title", {"name"})}, false}});
  return source;
}

}  // namespace cllm
