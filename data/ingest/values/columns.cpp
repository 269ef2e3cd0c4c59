#include "data/ingest/values/columns.h"

#include <algorithm>
#include <array>

#include "data/errors.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

struct RoleNames {
  Role role;
  std::string what;
  std::vector<std::string> names;  // as files write them; what a person means most likely comes first
};

/// Numbers before dates, since a file with both has the date for people.
std::vector<std::string> names_of_times() {
  return {"timestamp",
          "unixReviewTime",
          "unix_timestamp",
          "unix_time",
          "ts",
          "time_ms",
          "timestamp_ms",
          "time",
          "event_time",
          "datetime",
          "date_time",
          "event_timestamp",
          "review_time",
          "reviewTime",
          "rating_time",
          "purchase_date",
          "invoice_date",
          "order_date",
          "order_time",
          "visit_time",
          "start_time",
          "transaction_date",
          "transaction_dt",
          "t_dat",
          "event_date",
          "played_at",
          "listened_at",
          "watched_at",
          "date_added",
          "review_date",
          "submission_time",
          "date_submitted",
          "submitted",
          "application_date",
          "date",
          "created_at",
          "create_time",
          "created",
          "day",
          "published_at",
          "order",
          "rank_in_time"};
}

/// From public data sets and libraries.
const std::vector<RoleNames>& roles() {
  static const std::vector<RoleNames> all = {
      {Role::kUser, "user", {"user_id",       "user",        "uid",        "reviewerID",  "user_idx",    "userIndex",
                             "user_key",      "customer_id", "customer",   "visitor_id",  "visitorid",   "member_id",
                             "author_id",     "account_id",  "profile_id", "client_id",   "reviewer_id", "username",
                             "user_name",     "user_code",   "msno",       "buyer_id",    "steamid",     "player_id",
                             "subscriber_id", "person_id",   "reader_id",  "listener_id", "viewer_id",   "usr",
                             "gPlusUserId",   "u_id",        "session_id", "session"}},
      {Role::kItem,
       "item",
       {"item_id",       "item",         "iid",        "parent_asin",  "asin",     "movie_id",   "business_id",
        "gmap_id",       "gPlusPlaceId", "book_id",    "video_id",     "news_id",  "product_id", "track_id",
        "song_id",       "artist_id",    "game_id",    "app_id",       "appid",    "article_id", "recipe_id",
        "place_id",      "venue_id",     "poi_id",     "anime_id",     "beer_id",  "job_id",     "doc_id",
        "document_id",   "content_id",   "course_id",  "photo_id",     "post_id",  "listing_id", "hotel_id",
        "restaurant_id", "sku",          "isbn",       "product_code", "item_idx", "itemIndex",  "item_key",
        "item_code",     "goods_id",     "stock_code", "show_id",      "film_id",  "title_id",   "loc_id",
        "location_id",   "i_id"}},
      {Role::kTime, "time", names_of_times()},
      {Role::kRating,
       "rating",
       {"rating", "ratings", "stars", "overall", "score", "rate", "user_rating", "review_rating", "review_score",
        "book_rating", "rating_score", "watch_ratio", "star_rating", "review_overall"}},
      {Role::kText,
       "text",
       {"text", "review_text", "review", "review_body", "reviewText", "comment", "body", "content", "explanation",
        "review_content"}},
      {Role::kKind, "kind", {"kind", "text_kind"}},
      {Role::kPart, "part", {"part", "split", "subset", "fold"}}};
  return all;
}

const RoleNames& of(Role role) {
  return *std::find_if(roles().begin(), roles().end(), [&](const RoleNames& names) { return names.role == role; });
}

}  // namespace

std::string_view plain_name(std::string_view name) {
  name = trimmed(name);
  if (name.size() > 1 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
  if (name.starts_with('#')) name.remove_prefix(1);
  static constexpr std::array<std::string_view, 4> kTypes = {":token", ":token_seq", ":float", ":float_seq"};
  for (const std::string_view type : kTypes) {
    if (name.ends_with(type)) return name.substr(0, name.size() - type.size());
  }
  return name;
}

std::string folded(std::string_view name) {
  std::string out;
  for (const char c : plain_name(name)) {
    if (c == ' ' || c == '_' || c == '-' || c == '.') continue;
    out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return out;
}

Column column(Role role, bool required) { return column_named(of(role).what, of(role).names, required); }

Column column_named(const std::string& what, const std::vector<std::string>& names, bool required) {
  Column column{what, {}, required};
  for (const std::string& name : names) column.names.push_back(folded(name));
  return column;
}

bool is_known_name(std::string_view folded_name) {
  static const std::vector<std::string> kKnown = [] {
    std::vector<std::string> known;
    for (const RoleNames& role : roles()) {
      for (const std::string& name : role.names) known.push_back(folded(name));
    }
    std::sort(known.begin(), known.end());
    return known;
  }();
  return std::binary_search(kKnown.begin(), kKnown.end(), folded_name);
}

ColumnChoices parse_column_choices(const std::string& text) {
  ColumnChoices choices;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string pair = text.substr(begin, end - begin);
    const size_t equals = pair.find('=');
    const std::string what = pair.substr(0, equals);
    const std::string name = equals == std::string::npos ? "" : pair.substr(equals + 1);
    const bool known = std::any_of(roles().begin(), roles().end(), [&](const auto& role) { return role.what == what; });
    if (equals == std::string::npos || equals + 1 == pair.size() || !known) {
      throw DataError("--columns: " + quoted(pair) +
                      "; expected user, item, time, rating, text, kind or part = a name of the header or a number from "
                      "1, as in user=visitor,item=3, or none: time=none");
    }
    if (name == kNoColumn && (what == "user" || what == "item"))
      throw DataError("--columns: " + quoted(pair) + ": without a column for the " + what +
                      " there are no interactions");
    choices[what] = name;
    begin = end + 1;
  }
  for (const auto& one : choices) {
    const auto& [what, name] = one;
    const auto other = std::ranges::find_if(choices, [&](const auto& choice) {
      return choice.first > one.first && one.second != kNoColumn && folded(choice.second) == folded(one.second);
    });
    if (other != choices.end() && what != "text" && what != "kind" && other->first != "text")
      throw DataError("--columns: column " + quoted(name) + " would be the " + what + " and the " + other->first +
                      ", and one column cannot be both");
  }
  return choices;
}

std::string columns_option(const std::string& what, std::string_view name, size_t number) {
  const std::string shown = cllm::quoted(name), option = "--columns " + what + "=";
  const bool printable = shown.substr(1, shown.size() - 2) == name;
  if (trimmed(name).empty() || !printable || name.find_first_of(",'") != std::string_view::npos)
    return option + std::to_string(number);
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c & 0x80) != 0 ||
           std::string_view("_-.:/+@%").find(c) != std::string_view::npos;
  });
  return plain ? option + std::string(name) : "--columns '" + what + "=" + std::string(name) + "'";
}

std::string describe_columns() {
  std::string out;
  for (const RoleNames& role : roles()) {
    out += "  " + role.what + ": ";
    for (size_t n = 0; n < role.names.size(); ++n) out += (n > 0 ? ", " : "") + role.names[n];
    out += "\n";
  }
  return out;
}

}  // namespace cllm
