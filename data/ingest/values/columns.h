#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cllm {

/// What a column of a table can be.
enum class Role { kUser, kItem, kTime, kRating, kText, kKind, kPart };

/// A column that a reader wants. `names` are what a header or a JSON key may call it, folded; the first that a file has
/// wins.
struct Column {
  std::string what;  // as messages and --columns call it
  std::vector<std::string> names;
  bool required = true;

  bool is_id() const { return what == "user" || what == "item"; }
  bool holds_one_value() const {
    return is_id() || what == "time" || what == "rating" || what == "kind" || what == "part";
  }
};

/// A name without blanks, quotes and a leading # around it, and without RecBole's ":token".
std::string_view plain_name(std::string_view name);
/// The same in lower case, without what separates words (blank, _ - .).
std::string folded(std::string_view name);

/// A column with the common names of its role. This is the one list of names: --help prints it.
Column column(Role role, bool required = true);
/// With names of its own, before those of the role if there is one; they are folded here.
Column column_named(const std::string& what, const std::vector<std::string>& names, bool required = true);
/// Is it the name of a role?
bool is_known_name(std::string_view folded_name);

/// "user" -> what the person said it is called, or a number from 1, or that there is none: --columns.
using ColumnChoices = std::map<std::string, std::string>;
inline constexpr std::string_view kNoColumn = "none";
/// "user=visitor,item=3,time=none". DataError: no pairs, an unknown role, or no user or item.
ColumnChoices parse_column_choices(const std::string& text);

/// "--columns time=date", in the shell's quotes where the name needs them; `number` (from 1; 0: none) instead of a name
/// that is empty or has a comma.
std::string columns_option(const std::string& what, std::string_view name, size_t number = 0);

/// The names per role as lines for --help.
std::string describe_columns();

}  // namespace cllm
