#include "data/ingest/values/nested_json.h"

#include <algorithm>
#include <optional>

#include "data/errors.h"
#include "data/ingest/values/json_row.h"
#include "data/ingest/values/parse.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

using Json = nlohmann::json;
using Names = std::vector<std::string>;

/// One value: {"$oid": x} of MongoDB, too.
bool is_flat(const Json& value) {
  if (value.is_object()) return value.size() == 1 && value.begin().key().starts_with('$');
  return !value.is_array() && !value.is_null();
}
bool is_list_of_objects(const Json& value) {
  return value.is_array() && !value.empty() && value[0].is_object() && !is_flat(value[0]);
}
bool is_nested(const Json& value) { return (value.is_object() && !is_flat(value)) || is_list_of_objects(value); }

/// The key of the first of these names; empty: none.
std::string key_of(const Json& object, const Names& names) {
  for (const std::string& name : names) {
    for (const auto& [key, value] : object.items()) {
      if (folded(key) == name && !value.is_null()) return key;
    }
  }
  return "";
}

/// The only one that a predicate allows; empty: none, or several.
template <typename Allows>
std::string only_key(const Json& object, Allows allows) {
  std::string found;
  for (const auto& [key, value] : object.items()) {
    if (!is_flat(value) || !allows(folded(key))) continue;
    if (!found.empty()) return "";
    found = key;
  }
  return found;
}

/// The key that most likely holds the id: known, called id, or the only one whose name ends so; empty: none.
std::string id_in(const Json& object, Names names) {
  names.insert(names.end(), {"id", "_id"});
  if (std::string known = key_of(object, names); !known.empty() && is_flat(object[known])) return known;
  const auto ends = [](const std::string& name) { return name.ends_with("id") || name.ends_with("uri"); };
  return only_key(object, ends);
}

/// .key of jq, for a shell's single quotes.
std::string dot(const std::string& key) {
  const bool plain = !key.empty() && !is_digit(key[0]) &&
                     std::ranges::all_of(key, [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
  std::string quoted;
  for (const char c : Json(key).dump()) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return plain ? "." + key : ".[" + quoted + "]";
}

/// One of user and item: its names here, and inside of what somebody chose.
struct Wanted {
  std::string what;
  Names names, inside;
};

/// Of an object the expression for an id under a known name, which may stand in an object there; empty: none.
std::string expression(const Json& object, const Wanted& wanted, const Names& names) {
  const std::string key = key_of(object, names);
  if (key.empty()) return "";
  const Json& value = object[key];
  if (is_flat(value)) return dot(key);
  if (!value.is_object()) return "";
  std::string id = id_in(value, wanted.inside);
  if (id.empty()) id = only_key(value, [](const std::string&) { return true; });
  return dot(key) + (id.empty() ? ".NAME" : dot(id));
}

/// {user_id: $u, item_id: .aid}
std::string with_ids(const std::string& user, const std::string& item) {
  std::string ids;
  if (!user.empty() && user != ".user_id") ids += "user_id: " + user;
  if (!item.empty() && item != ".item_id") ids += (ids.empty() ? "" : ", ") + ("item_id: " + item);
  return ids.empty() ? "" : ". + {" + ids + "}";
}

struct Program {
  std::string jq, key;  // of the value that is nested
};

/// For the objects of this list of `outer`; nothing if no user is found.
std::optional<Program> of_list(const Json& outer, const std::string& list, const Wanted& user, const Wanted& item) {
  const Json& element = outer[list][0];
  std::string user_outside = expression(outer, user, user.names);
  const std::string user_inside = user_outside.empty() ? expression(element, user, user.inside) : "";
  std::string item_inside = expression(element, item, item.inside);
  const std::string item_outside = item_inside.empty() ? expression(outer, item, item.names) : "";
  if (user_outside.empty() && user_inside.empty() && item_outside.empty()) {
    const std::string guess = id_in(outer, {});
    if (!guess.empty()) user_outside = dot(guess);
  }
  if (user_outside.empty() && user_inside.empty()) {
    for (const auto& [key, value] : element.items()) {
      if (!is_list_of_objects(value)) continue;
      if (const auto inner = of_list(element, key, user, item)) return Program{dot(list) + "[] | " + inner->jq, list};
    }
    return {};
  }
  if (item_inside.empty() && item_outside.empty()) {
    const std::string guess = id_in(element, {});
    if (!guess.empty()) item_inside = dot(guess);
  }
  std::string binds;
  if (!user_outside.empty()) binds += user_outside + " as $u | ";
  if (!item_outside.empty()) binds += item_outside + " as $i | ";
  const std::string ids =
      with_ids(user_outside.empty() ? user_inside : "$u", item_outside.empty() ? item_inside : "$i");
  return Program{binds + dot(list) + "[]" + (ids.empty() ? "" : " | " + ids), list};
}

/// Columns of one object, by the index of pandas or as lists.
std::optional<Program> of_columns(const Json& row, const Wanted& user, const Wanted& item) {
  const std::string users = key_of(row, user.names), items = key_of(row, item.names);
  if (row.contains("columns") && row.contains("data") && row["data"].is_array())
    return Program{".columns as $c | .data[] | [$c, .] | transpose | map({(.[0] | tostring): .[1]}) | add", "data"};
  if (users.empty() || items.empty()) return {};
  const Json &a = row[users], &b = row[items];
  const auto is_column = [](const Json& value) {
    if (value.size() < 2 || !std::ranges::all_of(value, [](const Json& one) { return one.is_null() || is_flat(one); }))
      return false;
    return value.is_array() || (value.is_object() && std::ranges::all_of(value.begin().key(), is_digit));
  };
  if (a.type() != b.type() || a.size() != b.size() || !is_column(a) || !is_column(b)) return {};
  return Program{". as $t | (" + dot(users) + " | keys_unsorted[]) as $k | $t | map_values(.[$k])", users};
}

std::optional<Program> of_objects(const Json& row, const Wanted& user, const Wanted& item) {
  const std::string users = key_of(row, user.names), items = key_of(row, item.names);
  const bool nested_item = !items.empty() && is_nested(row[items]);
  const bool nested_user = !users.empty() && is_nested(row[users]);
  if (!users.empty() && !items.empty() && !nested_user && !nested_item) return {};
  for (const std::string& key : {items, users}) {
    if (key.empty() || !is_list_of_objects(row[key])) continue;
    if (auto program = of_list(row, key, user, item)) return program;
  }
  if (!users.empty() && !items.empty()) {
    return Program{with_ids(nested_user ? expression(row, user, user.names) : "",
                            nested_item ? expression(row, item, item.names) : ""),
                   nested_item ? items : users};
  }
  for (const auto& [key, value] : row.items()) {
    if (!is_list_of_objects(value)) continue;
    if (auto program = of_list(row, key, user, item)) return program;
  }
  return {};
}

bool has_flat(const Json& row, const Wanted& wanted) {
  const std::string key = key_of(row, wanted.names);
  return !key.empty() && is_flat(row[key]);
}

/// How the objects come to jq.
std::string command(const std::string& jq, const std::string& line, const std::filesystem::path& path) {
  const bool python = !Json::accept(line) && line.find('\'') != std::string::npos;
  const std::string end = path.extension().string(), cat = end == ".gz" ? "zcat" : end == ".zst" ? "zstdcat" : "cat";
  const bool piped = python || cat != "cat";
  return (piped ? cat + " OLD | " : "") +
         (python ? "python3 -c 'import ast, json, sys; [print(json.dumps(ast.literal_eval(l))) for l in sys.stdin]' | "
                 : "") +
         "jq -c '" + jq + "'" + (piped ? "" : " OLD") + " > interactions.jsonl";
}

/// Where all keys are ids with lists or objects: {"u1": ["i1", ...], ...}.
void refuse_ids_for_keys(const std::vector<std::string>& lines, const std::filesystem::path& path) {
  Json first;
  for (const std::string& line : lines) {
    const Json row = is_utf8(line) ? parse_json_line(line) : Json();
    if (!row.is_object() || row.empty()) return;
    for (const auto& [key, value] : row.items()) {
      if ((!value.is_array() && !value.is_object()) || value.empty() || is_known_name(folded(key))) return;
      if (first.is_null()) first = value;
    }
  }
  if (first.is_null()) return;
  const Json element = *first.begin();
  std::string pairs = ".value[] | \"\\($u)\\t\\(.)\"";
  if (first.is_object()) {
    pairs = ".value | to_entries[] | \"\\($u)\\t\\(.key)\\t\\(.value)\"";
  } else if (element.is_array()) {
    pairs = ".value[] | \"\\($u)\\t\" + join(\"\\t\")";
  } else if (element.is_object()) {
    pairs = ".value[] | {user: $u} + . | tojson";
  }
  throw DataError(path.string() + ":1: keys are ids, as " + cllm::quoted(lines[0]) +
                  ", and lists or objects are theirs; write " + "a row per pair: jq -r 'to_entries[] | .key as $u | " +
                  pairs + "' OLD > interactions." + (element.is_object() && first.is_array() ? "jsonl" : "tsv"));
}

}  // namespace

void refuse_nested(const std::vector<std::string>& lines, const std::vector<Column>& wanted,
                   const ColumnChoices& choices, const std::filesystem::path& path) {
  const auto names_of = [&](size_t n) {
    const auto choice = choices.find(wanted[n].what);
    return Wanted{wanted[n].what, choice == choices.end() ? wanted[n].names : Names{folded(choice->second)},
                  wanted[n].names};
  };
  if (wanted.size() < 2 || !wanted[0].is_id() || !wanted[1].is_id()) return;
  const Wanted user = names_of(0), item = names_of(1);
  for (const std::string& line : lines) {
    const Json row = is_utf8(line) ? parse_json_line(line) : Json();
    if (!row.is_object()) continue;
    auto program = lines.size() == 1 ? of_columns(row, user, item) : std::nullopt;
    const bool columns = program.has_value();
    if (!columns) program = of_objects(row, user, item);
    if (!program && has_flat(row, user) && has_flat(row, item)) return;
    if (!program) continue;
    throw DataError(path.string() + ": " + cllm::quoted(program->key) + " holds " +
                    (columns                        ? "a whole column or table, as pandas' to_json writes it"
                     : row[program->key].is_array() ? "a list of objects"
                                                    : "an object") +
                    "; write a row per pair: " + command(program->jq, line, path) +
                    (columns ? ", or with pandas to_json(orient='records', lines=True)" : ""));
  }
  refuse_ids_for_keys(lines, path);
}

}  // namespace cllm
