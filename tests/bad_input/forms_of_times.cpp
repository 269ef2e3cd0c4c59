// Forms of raw files whose times are not what they seem.

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

constexpr auto kKind = FaultKind::kPublicFiles;

/// Histories a, b, c of u and of v, with these cells behind; c stands first.
Files with_columns(const std::string& header, const std::string& c, const std::string& a, const std::string& b) {
  std::string rows = header + "\n";
  for (const std::string user : {"u", "v"})
    rows += user + ",c," + c + "\n" + user + ",a," + a + "\n" + user + ",b," + b + "\n";
  return {{"interactions.csv", rows}};
}

Files with_times(const std::string& a, const std::string& b, const std::string& c) {
  return with_columns("user,item,time", c, a, b);
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

Forms forms_of_columns_of_times() {
  const Files day_and_clock = with_columns("user,item,date,time", "20180703,930", "20180701,2209", "20180702,1500");
  const Files applications =
      with_columns("user,item,SeenOnDate,rating", "2012-04-03 10:00:01.5,1", "2012-04-01,2", "2012-04-02,1");
  const std::string keys = R"({"user": "@", "item": "#", "my_last_updated": 153100000&000})";
  return {
      refused_form(kKind, "time_of_the_day", "`date,time` with `20180701,2209`", "refused; the option is named",
                   day_and_clock,
                   {"interactions.csv:1: the time column 'time' (930) holds times of the day, and 'date' "
                    "(20180703) the dates; write both into one column",
                    "--columns time=date"}),
      refused_form(
          kKind, "clock_time", "`day,time` with `2018-07-01,22:09:11`", "refused; the option is named",
          with_columns("user,item,day,time", "2018-07-03,09:30:00", "2018-07-01,22:09:11", "2018-07-02,15:00:00"),
          {"holds times of the day", "--columns time=day"}),
      read_form(kKind, "days_alone", "the same with `--columns time=date`", "read by the days", day_and_clock, {},
                "--columns time=date"),
      refused_form(kKind, "dates_nobody_knows", "dates in a column `SeenOnDate`, no other time",
                   "refused if the split needs an order; the option is named", applications,
                   {"interactions.csv:1: no column is known as the time, but 'SeenOnDate' (2012-04-03 "
                    "10:00:01.5) holds dates; if they are when the interactions were: --columns "
                    "time=SeenOnDate, else --columns time=none"}),
      read_form(kKind, "dates_that_are_named", "the same with `--columns time=SeenOnDate`", "read", applications, {},
                "--columns time=SeenOnDate"),
      refused_form(kKind, "epochs_nobody_knows", "epochs under a key `my_last_updated`, no other time",
                   "refused if the split needs an order; the option is named",
                   {{"interactions.jsonl", with_each_row(keys, "")}}, {"--columns time=my_last_updated"}),
      {kKind,
       "dates_of_no_use",
       "dates in a column `SeenOnDate`, `--split random`",
       "read; the option is noted",
       raw_files(applications),
       {"prepare --input raw --output made --tokenizer corpus/tokenizer --split random"},
       0,
       {"note: interactions.csv: no column is known as the time", "--columns time=SeenOnDate"}},
      read_form(kKind, "empty_timestamp", "an empty column `timestamp` beside a full `date`", "the date is the time",
                with_columns("user,item,timestamp,date", ",2018-07-03", ",2018-07-01", ",2018-07-02"),
                {"not used: timestamp (empty)"})};
}

/// raw/ and more/ as interactions.csv.
std::function<void()> raw_and_more(const std::string& more) {
  return [more] {
    raw_files(with_times("1531000001", "1531000002", "1531000003"))();
    write("more/interactions.csv", more);
  };
}

Forms forms_of_what_is_joined() {
  const std::vector<std::string> extend = {
      "prepare --input raw --output made --tokenizer corpus/tokenizer --split leave-last-out",
      "prepare --input more --output extended --extend made"};
  const std::string clicks = "\t11/11/2019 9:05:58 AM\ta b c\td-1\n", later = "\t11/12/2019 6:11:30 PM\td\te-0\n";
  return {{kKind,
           "extension_in_milliseconds",
           "`--extend` of seconds by a row in milliseconds",
           "refused with a place of each",
           raw_and_more("user,item,time\nw,c,1531100000000\n"),
           extend,
           65,
           {"1 of 1 new times are in milliseconds (interactions.csv:2: 1531100000000), the others in seconds (the "
            "corpus that is extended: 1531000001)"}},
          {kKind,
           "extension_by_an_order",
           "`--extend` of seconds by `1`, `2`, `3`",
           "refused with a place of each",
           raw_and_more("user,item,time\nu,d,1\nu,e,2\n"),
           extend,
           65,
           {"2 of 2 new times are plain numbers (interactions.csv:2: 1)"}},
          {kKind,
           "extension_without_times",
           "`--extend` of a corpus with times by rows without",
           "refused if the split needs an order",
           raw_and_more("user,item\nu,d\n"),
           extend,
           65,
           {"the corpus that is extended has times, the new interactions have none"}},
          {kKind,
           "clicks_that_become_history",
           "MIND: a click is in the history of a later row",
           "it keeps its time",
           raw_files({{"behaviors.tsv", "1\tu" + clicks + "2\tu" + later + "3\tv" + clicks + "4\tv" + later}}),
           {kPrepareForm},
           0,
           {"2 users, 4 items, 8 interactions"},
           "u d, v d"},
          read_form(kKind, "a_repeat_without_a_time", "a row again, without its time, `--merge-duplicates`",
                    "the time stays",
                    {{"interactions.csv", "user,item,time\nu,c,\nv,c,\n" + rows_in_order(",", kEpoch, "")}},
                    {"repeated interactions merged: 2"}, "--merge-duplicates")};
}

Forms forms_of_doubtful_times() {
  const auto table = [](const std::string& header, const std::string& before, const std::string& behind) {
    return Files{{"interactions.csv", header + "\n" + rows_in_order(",", before, behind)}};
  };
  const auto slashes = table("user,item,date", "3/", "/2011 7:06");
  std::string months;
  for (const char* const month : {"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"})
    months += std::string("w,d") + month + ",2014" + month + "\n";
  const std::string of_items =
      "user,item,published_at\nu,c,1300000003\nu,a,1300000001\nu,b,1300000002\nv,c,1300000003\nv,a,1300000001\n";
  return {
      refused_form(kKind, "month_or_day", "times as `3/1/2011 7:06`, no day above 12",
                   "refused with the option that settles it", slashes,
                   {"'3/3/2011 7:06' are read as month/day/year", "if the month does: --columns time=date"}),
      read_form(kKind, "month_first", "the same with `--columns time=date`", "read", slashes, {},
                "--columns time=date"),
      read_form(kKind, "month_first_by_a_day", "times as `3/21/2011 7:06`", "read",
                table("user,item,date", "3/2", "/2011 7:06")),
      refused_form(kKind, "days_of_a_month", "`day` of 1 to 30, and no other time", "refused; the options are named",
                   table("user,item,day", "1", ""),
                   {"'day' (13) holds days of a month or a week", "--columns time=day", "--columns time=none"}),
      refused_form(kKind, "one_time_per_item", "`published_at`, the same for all users of an item",
                   "refused; the options are named", {{"interactions.csv", of_items}},
                   {"is one time per item", "--columns time=published_at", "--columns time=none"}),
      {kKind,
       "seconds_listened",
       "`time` of 0 to 299, in no order",
       "read; that the numbers may be no times is noted",
       raw_files({{"interactions.csv", "user,item,time\nu,a,210\nu,b,31\nu,c,299\nv,a,17\nv,b,210\nv,c,211\n"}}),
       {kPrepareForm},
       0,
       {"holds small numbers that do not go up in the file"},
       "u c, v c"},
      {kKind,
       "months_as_numbers",
       "`date` of 201401 to 201412 and 201501: few different times",
       "read; none is far from all others",
       raw_files({{"interactions.csv", "user,item,date\n" + months + months + months + "w,e,201501\nw,f,201501\n"}}),
       {kPrepareForm + " --merge-duplicates"},
       0,
       {"1 users, 14 items"},
       "w f"},
      refused_form(
          kKind, "clicks_that_are_not_told", "MIND's part for tests: impressions without -0 and -1",
          "refused for splits that need times",
          {{"behaviors.tsv", "1\tu\t11/15/2019 8:06:01 AM\ta b c\td e\n2\tv\t11/15/2019 8:06:01 AM\ta b\te f\n"}},
          {"no impression says whether it was clicked"}),
      {FaultKind::kColumns,
       "ids_in_two_forms",
       "an item `1`, and `1.0` where programs wrote floats",
       "read as two; the pair is noted",
       raw_files({{"interactions.csv",
                   "user,item,time\nw,1,1300000008\nw,1.0,1300000009\n" + rows_in_order(",", kEpoch, "")}}),
       {kPrepareForm},
       0,
       {"1 of 5 items differ from others in their form alone, as '1.0' and '1'"},
       "u c, v c"},
      {FaultKind::kColumns,
       "some_rounded",
       "an item `1.23E+17` among others",
       "read, noted",
       raw_files({{"interactions.csv", "user,item,time\nw,1.23E+17,1300000009\n" + rows_in_order(",", kEpoch, "")}}),
       {kPrepareForm},
       0,
       {"1 of 4 items have ids as '1.23E+17', which a spreadsheet rounded"},
       "u c, v c"},
  };
}

}  // namespace

Forms forms_of_times() {
  Forms all = mixed_forms();
  for (const Forms& forms : {forms_of_columns_of_times(), forms_of_what_is_joined(), forms_of_doubtful_times()})
    all.insert(all.end(), forms.begin(), forms.end());
  return all;
}

}  // namespace cllm::testing
