// Forms of raw files whose times are not what they seem.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

constexpr auto kKind = FaultKind::kPublicFiles;

/// Histories a, b, c of u and of v, with these times.
Files with_times(const std::string& a, const std::string& b, const std::string& c) {
  std::string rows = "user,item,time\n";
  for (const std::string user : {"u", "v"})
    rows += user + ",c," + c + "\n" + user + ",a," + a + "\n" + user + ",b," + b + "\n";
  return {{"interactions.csv", rows}};
}

Forms mixed_forms() {
  return {refused_form(kKind, "years_and_dates", "times as `1998` and as `1999-02-03`", "refused with a place of each",
                       with_times("1998", "1999-02-03", "2001"),
                       {"2 of 6 times are dates (interactions.csv:4: 1999-02-03), the others plain numbers "
                        "(interactions.csv:2: 2001): they would be sorted as numbers; bring them to one form"}),
          refused_form(kKind, "serials_of_excel_and_dates", "times as `43288.92` and as `2018-07-07`",
                       "refused with a place of each", with_times("43288.92", "2018-07-07", "2018-07-08"),
                       {"2 of 6 times are plain numbers (interactions.csv:3: 43288), the others dates"}),
          refused_form(kKind, "days_as_numbers_and_seconds", "times as `20180704` and as `1531001351`",
                       "refused with a place of each", with_times("20180704", "20180705", "1531001351"),
                       {"2 of 6 times are in seconds (interactions.csv:2: 1531001351), the others days as 20180704"}),
          refused_form(kKind, "milliseconds_and_dates", "times as `1531001351438` and as `2018-07-07`",
                       "refused with a place of each", with_times("2018-07-06", "2018-07-07", "1531001351438"),
                       {"2 of 6 times are in milliseconds (interactions.csv:2: 1531001351438), the others dates"}),
          read_form(kKind, "seconds_and_dates", "times as `1531001351` and as `2018-07-09`", "read, in their order",
                    with_times("2018-07-06", "1531001351", "2018-07-09"))};
}

}  // namespace

Forms forms_of_times() { return mixed_forms(); }

}  // namespace cllm::testing
