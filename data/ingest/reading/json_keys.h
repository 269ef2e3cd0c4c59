#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/ingest/reading/header.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/values/late_texts.h"

namespace cllm {

/// Which keys of a file of JSON objects are the columns of a table: one key per column, the same in all rows.
class JsonKeys {
 public:
  static constexpr size_t kNowhere = SIZE_MAX;

  struct Key {
    size_t place = kNowhere;        // of its values: a column's, behind the columns the other texts'
    uint64_t first_line = 0;        // 0: the sample has the key
    uint64_t rows_without_use = 0;  // of a key that the sample does not have
    size_t late = kNowhere;         // of late(): texts may come, or come late
  };

  /// Of the names of a column the first under which the sample has a value. Choices are put into the spec's names.
  /// DataError, as of place_columns(): no key is a wanted column.
  Placement understand(const std::vector<SampledColumn>& sample, TableSpec& spec, const ColumnChoices& choices,
                       const std::string& where);

  Key* find(const std::string& name);  // null: not seen so far
  /// A key that has a value and was not seen so far: a wanted column that has no key may be it, or texts. Null: too
  /// many keys.
  Key* add(const std::string& name, std::string_view value, uint64_t line, const TableSpec& spec, Placement& placement);
  /// A value of a key of the sample that is no column: texts may come late.
  void watch(Key& key, std::string_view value, uint64_t line);
  const std::vector<LateColumn>& late() const { return late_; }
  std::string name_of(size_t place) const;  // empty: the column has no key
  /// Keys that come after the sample and are not used, for a note: "'a' (first in line 1001, 3 rows), ..."; empty:
  /// none.
  std::string late_keys() const;

 private:
  std::unordered_map<std::string, Key> keys_;
  std::vector<LateColumn> late_;
};

}  // namespace cllm
