#include "data/ingest/values/moment.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

#include "data/ingest/values/parse.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

/// English names, at least three letters of them; 1 .. 12.
std::optional<int> month_of(std::string_view word) {
  static constexpr std::array<std::string_view, 12> kMonths = {"january",   "february", "march",    "april",
                                                               "may",       "june",     "july",     "august",
                                                               "september", "october",  "november", "december"};
  if (word.size() < 3) return {};
  for (size_t month = 0; month < kMonths.size(); ++month) {
    bool same = word.size() <= kMonths[month].size();
    for (size_t n = 0; same && n < word.size(); ++n) same = (word[n] | 0x20) == kMonths[month][n];
    if (same) return static_cast<int>(month) + 1;
  }
  return {};
}

struct Date {
  int year = 0, month = 0, day = 0;
  int64_t seconds_of_day = 0;
  uint32_t fraction = 0;
  int64_t offset = 0;  // seconds east of UTC

  std::optional<Moment> moment() const {
    const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                           std::chrono::day(static_cast<unsigned>(day))};
    if (!date.ok()) return {};
    return Moment{int64_t{86400} * std::chrono::sys_days(date).time_since_epoch().count() + seconds_of_day - offset,
                  fraction};
  }
};

/// hh:mm[:ss[.fraction]]
bool take_time(Scanner& scan, Date& date) {
  const auto hour = scan.number(1, 2, 0, 24);
  if (!hour || !scan.take(':')) return false;
  const auto minute = scan.number(2, 2, 0, 59);
  if (!minute) return false;
  int second = 0;
  if (scan.take(':')) {
    const auto found = scan.number(2, 2, 0, 60);
    if (!found) return false;
    second = *found;
    if (scan.take_one_of(".,")) {
      const auto fraction = scan.fraction();
      if (!fraction) return false;
      date.fraction = *fraction;
    }
  }
  if (*hour == 24 && (*minute != 0 || second != 0 || date.fraction != 0)) return false;
  date.seconds_of_day = *hour * 3600 + *minute * 60 + second;
  return true;
}

enum class Zones { kUtc, kRfc };  // RFC 2822 says what EST is; elsewhere CST may be China's

/// Hours east of UTC: of no name, UTC, and perhaps the zones of RFC 2822.
std::optional<int> hours_of_zone(std::string_view name, Zones zones) {
  static constexpr std::array<std::pair<std::string_view, int>, 14> kZones = {{{"", 0},
                                                                               {"Z", 0},
                                                                               {"z", 0},
                                                                               {"UTC", 0},
                                                                               {"GMT", 0},
                                                                               {"UT", 0},
                                                                               {"EST", -5},
                                                                               {"EDT", -4},
                                                                               {"CST", -6},
                                                                               {"CDT", -5},
                                                                               {"MST", -7},
                                                                               {"MDT", -6},
                                                                               {"PST", -8},
                                                                               {"PDT", -7}}};
  for (const auto& [zone, hours] : kZones) {
    if (zone == name && (hours == 0 || zones == Zones::kRfc)) return hours;
  }
  return {};
}

/// [UTC][+hh[[:]mm]] [UTC] [(a comment)], or the name of a zone, a blank before; true if there is none, too.
bool take_offset(Scanner& scan, Date& date, Zones zones = Zones::kUtc) {
  scan.take_blanks();
  const auto zone = hours_of_zone(scan.word(), zones);
  if (!zone) return false;
  date.offset = int64_t{*zone} * 3600;
  if (*zone == 0 && (scan.peek() == '+' || scan.peek() == '-')) {
    const int sign = scan.take('-') ? -1 : 1;
    if (sign > 0) scan.take('+');
    const auto hours = scan.number(2, 2, 0, 15);
    if (!hours) return false;
    const bool colon = scan.take(':');
    const auto minutes = scan.number(2, 2, 0, 59);
    if (colon && !minutes) return false;
    date.offset = sign * (int64_t{*hours} * 3600 + int64_t{minutes.value_or(0)} * 60);
    scan.take_blanks();
    if (hours_of_zone(scan.word(), zones) != 0) return false;
  }
  scan.take_blanks();
  return scan.peek() != '(' || scan.take_comment();
}

/// yyyy-mm-dd[ T]time offset; / may stand for -.
std::optional<Moment> iso_date(Scanner scan) {
  Date date;
  const auto year = scan.number(4, 4, 1, 9999);
  const char separator = scan.peek();
  if (!year || !scan.take_one_of("-/")) return {};
  const auto month = scan.number(1, 2, 1, 12);
  if (!month || !scan.take(separator)) return {};
  const auto day = scan.number(1, 2, 1, 31);
  if (!day) return {};
  date.year = *year;
  date.month = *month;
  date.day = *day;
  if (scan.at_end()) return date.moment();
  if (!scan.take_one_of("Tt")) {
    if (!scan.take_blanks()) return {};
  }
  Scanner hour = scan;
  if (const auto hours = hour.number(1, 2, 0, 23); hours && hour.at_end()) {  // 2014-12-06 02
    date.seconds_of_day = int64_t{*hours} * 3600;
    return date.moment();
  }
  if (!take_time(scan, date) || !take_offset(scan, date) || !scan.at_end()) return {};
  return date.moment();
}

/// yyyymmddThh[mm[ss]] offset: ISO 8601 without separators.
std::optional<Moment> basic_iso_date(Scanner scan) {
  Date date;
  const auto year = scan.number(4, 4, 1, 9999), month = scan.number(2, 2, 1, 12), day = scan.number(2, 2, 1, 31);
  if (!year || !month || !day || !scan.take_one_of("Tt")) return {};
  const auto hour = scan.number(2, 2, 0, 23);
  if (!hour) return {};
  const int minute = scan.number(2, 2, 0, 59).value_or(0), second = scan.number(2, 2, 0, 60).value_or(0);
  if (scan.take_one_of(".,")) {
    const auto fraction = scan.fraction();
    if (!fraction) return {};
    date.fraction = *fraction;
  }
  date.year = *year;
  date.month = *month;
  date.day = *day;
  date.seconds_of_day = *hour * 3600 + minute * 60 + second;
  if (!take_offset(scan, date) || !scan.at_end()) return {};
  return date.moment();
}

/// Of four digits, or of two, which are 1950 to 2049 (RFC 2822).
std::optional<int> take_year(Scanner& scan) {
  if (const auto year = scan.number(4, 4, 1, 9999)) return year;
  const auto year = scan.number(2, 2, 0, 99);
  if (!year || is_digit(scan.peek())) return {};
  constexpr int kFirst = 50;
  return *year + (*year < kFirst ? 2000 : 1900);
}

/// [Sat, ]07 Jul 2018[ time offset]
std::optional<Moment> rfc_date(Scanner scan) {
  Date date;
  if (!scan.word().empty()) {
    scan.take(',');
    scan.take_blanks();
  }
  const auto day = scan.number(1, 2, 1, 31);
  if (!day || !scan.take_one_of(" -")) return {};
  const auto month = month_of(scan.word());
  if (!month || !scan.take_one_of(" -")) return {};
  const auto year = take_year(scan);
  if (!year) return {};
  date.year = *year;
  date.month = *month;
  date.day = *day;
  if (scan.at_end()) return date.moment();
  scan.take(',');
  if (!scan.take_blanks() || !take_time(scan, date) || !take_offset(scan, date, Zones::kRfc) || !scan.at_end())
    return {};
  return date.moment();
}

/// [Sat ]Jul 07[, 2018][ time offset][ 2018]; the year stands at one of the two places.
std::optional<Moment> month_first_date(Scanner scan) {
  Date date;
  auto month = month_of(scan.word());
  if (!month) {
    scan.take(',');
    if (!scan.take_blanks()) return {};
    month = month_of(scan.word());
  }
  scan.take('.');
  if (!month || !scan.take_blanks()) return {};
  const auto day = scan.number(1, 2, 1, 31);
  if (!day) return {};
  date.month = *month;
  date.day = *day;
  scan.take(',');
  if (!scan.take_blanks()) return {};
  if (const auto year = scan.number(4, 4, 1, 9999)) {
    date.year = *year;
    if (scan.at_end()) return date.moment();
    scan.take(',');
    if (!scan.take_blanks() || !take_time(scan, date) || !take_offset(scan, date) || !scan.at_end()) return {};
    return date.moment();
  }
  if (!take_time(scan, date)) return {};
  scan.take_blanks();
  if (!is_digit(scan.peek()) && !take_offset(scan, date)) return {};
  scan.take_blanks();
  const auto year = scan.number(4, 4, 1, 9999);
  if (!year || !scan.at_end()) return {};
  date.year = *year;
  return date.moment();
}

/// 7/7/2018[ 22:09[:11]], 7/7/2018 10:09:11 PM; 07 07, 2018
std::optional<Moment> american_date(Scanner scan) {
  Date date;
  const auto month = scan.number(1, 2, 1, 12);
  const bool slashes = scan.take('/');
  if (!month || (!slashes && !scan.take(' '))) return {};
  const auto day = scan.number(1, 2, 1, 31);
  if (!day || !(slashes ? scan.take('/') : scan.take(',') && scan.take_blanks())) return {};
  const auto year = scan.number(4, 4, 1, 9999);
  if (!year) return {};
  date.year = *year;
  date.month = *month;
  date.day = *day;
  if (scan.at_end()) return date.moment();
  if (!slashes) return {};
  scan.take(',');
  if (!scan.take_blanks() || !take_time(scan, date)) return {};
  scan.take_blanks();
  if (scan.at_end()) return date.moment();
  const std::string_view half = scan.word();
  const bool afternoon = half == "PM" || half == "pm", morning = half == "AM" || half == "am";
  const int64_t hour = date.seconds_of_day / 3600;
  if (!(afternoon || morning) || hour < 1 || hour > 12 || !scan.at_end()) return {};
  date.seconds_of_day += (hour == 12 ? -12 : 0) * 3600 + (afternoon ? 12 : 0) * 3600;
  return date.moment();
}

/// An integer, or digits with a point: exact where a double is not.
std::optional<Moment> decimal(std::string_view text) {
  Moment moment;
  const char *const begin = text.data(), *const end = begin + text.size();
  const auto [after, error] = std::from_chars(begin, end, moment.time);
  if (error != std::errc() || after == end) return error == std::errc() ? std::optional(moment) : std::nullopt;
  Scanner scan(std::string_view(after, static_cast<size_t>(end - after)));
  const auto fraction = scan.take('.') ? scan.fraction() : std::optional<uint32_t>();
  if (!fraction || !scan.at_end()) return {};
  moment.fraction = *fraction;
  if (text[0] == '-' && moment.fraction != 0) {  // rounded down
    constexpr uint32_t kOne = 1'000'000'000;
    if (moment.time == INT64_MIN) return {};
    --moment.time;
    moment.fraction = kOne - moment.fraction;
  }
  return moment;
}

}  // namespace

std::optional<Moment> parse_date(std::string_view text) {
  text = trimmed(text);
  constexpr size_t kShortest = 8, kLongest = 64;
  if (text.size() < kShortest || text.size() > kLongest) return {};
  for (const auto form : {iso_date, basic_iso_date, rfc_date, month_first_date, american_date}) {
    if (const auto moment = form(Scanner(text))) return moment;
  }
  return {};
}

std::optional<Moment> parse_count(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return {};
  if (const auto moment = decimal(text)) return moment;
  const auto number = parse_number(text);
  if (number && std::abs(*number) < 9e18) {
    const double whole = std::floor(*number);
    return Moment{static_cast<int64_t>(whole), static_cast<uint32_t>((*number - whole) * 999'999'999.0)};
  }
  return {};
}

std::optional<Moment> parse_moment(std::string_view text) {
  const auto count = parse_count(text);
  return count ? count : parse_date(text);
}

}  // namespace cllm
