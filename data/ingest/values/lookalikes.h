#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/storage/id_map.h"

namespace cllm {

/// An id without what programs put around it or take from it: blanks (of Unicode, too), quotes and =" " of Excel, zeros
/// in front, .0 behind; in lower case.
std::string bare_id(std::string_view id);
/// A sentence for people, with an example, if some of the ids are another one but for that (capitals count): '1.0' and
/// '1'. Else nothing.
std::string describe_twins(const std::string& what, const IdMap& ids);

/// Whether a spreadsheet rounded an id, as '1.23E+17': others have become the same.
bool is_rounded(std::string_view id);
/// One of them, if more than half of the ids are rounded.
std::optional<std::string> mostly_rounded(const std::vector<std::string>& ids);
/// A sentence for people, with an example, if some of the ids are rounded. Else nothing.
std::string describe_rounded(const std::string& what, const IdMap& ids);

/// Ids that were not found, of which some may be known in another form: '10.0' and '0010' where '10' is known.
class Lookalikes {
 public:
  /// The first thousand different ones are looked at.
  void add(std::string_view unknown);

  /// A sentence for people with an example, nothing if none of them looks like one of the `count` known ids. Reads all
  /// of these once.
  std::string describe(const std::string& what, size_t count,
                       const std::function<std::string_view(size_t)>& known) const;
  /// Of the first `count` of these.
  std::string describe(const std::string& what, const IdMap& ids, size_t count) const;

 private:
  std::set<std::string, std::less<>> unknown_;
};

}  // namespace cllm
