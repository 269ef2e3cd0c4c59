#include "data/ingest/reading/moment.h"

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

#include "data/ingest/reading/parse.h"

namespace cllm {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Walks over a text; every take_* leaves the place as it was if what it wants is not there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool at_end() const { return text_.empty(); }
  char peek() const { return text_.empty() ? '\0' : text_[0]; }
  bool take(char wanted) {
    if (peek() != wanted || text_.empty()) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool take_one_of(std::string_view wanted) {
    if (text_.empty() || wanted.find(text_[0]) == std::string_view::npos) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool take_blanks() {
    const bool any = peek() == ' ';
    while (take(' ')) {
    }
    return any;
  }
  /// Between `least` and `most` digits as a number within the bounds.
  std::optional<int> number(size_t least, size_t most, int low, int high) {
    size_t length = 0;
    while (length < text_.size() && length < most && is_digit(text_[length])) ++length;
    int value = 0;
    if (length < least || std::from_chars(text_.data(), text_.data() + length, value).ec != std::errc()) return {};
    if (value < low || value > high) return {};
    text_.remove_prefix(length);
    return value;
  }
  /// Digits as a fraction of 1 in units of 1e-9.
  std::optional<uint32_t> fraction() {
    uint32_t value = 0;
    size_t length = 0;
    for (; length < text_.size() && is_digit(text_[length]); ++length) {
      if (length < 9) value = value * 10 + static_cast<uint32_t>(text_[length] - '0');
    }
    if (length == 0) return {};
    for (size_t n = length; n < 9; ++n) value *= 10;
    text_.remove_prefix(length);
    return value;
  }
  std::string_view word() {
    size_t length = 0;
    while (length < text_.size() && is_letter(text_[length])) ++length;
    const std::string_view found = text_.substr(0, length);
    text_.remove_prefix(length);
    return found;
  }

 private:
  std::string_view text_;
};

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

/// +hh[[:]mm[:ss]], Z, UTC, GMT, a blank before; true if there is none, too.
bool take_offset(Scanner& scan, Date& date) {
  scan.take_blanks();
  if (scan.peek() == '+' || scan.peek() == '-') {
    const int sign = scan.take('-') ? -1 : 1;
    if (sign > 0) scan.take('+');
    const auto hours = scan.number(2, 2, 0, 15);
    if (!hours) return false;
    const bool colon = scan.take(':');
    const auto minutes = scan.number(2, 2, 0, 59);
    if (colon && !minutes) return false;
    date.offset = sign * (*hours * 3600 + minutes.value_or(0) * 60);
    scan.take_blanks();
  }
  const std::string_view zone = scan.word();
  return zone.empty() || zone == "Z" || zone == "z" || zone == "UTC" || zone == "GMT" || zone == "UT";
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
  if (!take_time(scan, date) || !take_offset(scan, date) || !scan.at_end()) return {};
  return date.moment();
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
  const auto year = scan.number(4, 4, 1, 9999);
  if (!year) return {};
  date.year = *year;
  date.month = *month;
  date.day = *day;
  if (scan.at_end()) return date.moment();
  scan.take(',');
  if (!scan.take_blanks() || !take_time(scan, date) || !take_offset(scan, date) || !scan.at_end()) return {};
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

/// 7/7/2018 10:09:11 PM; 07 07, 2018
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
  if (!slashes) return scan.at_end() ? date.moment() : std::nullopt;
  scan.take(',');
  if (!scan.take_blanks() || !take_time(scan, date)) return {};
  scan.take_blanks();
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
  for (const auto form : {iso_date, rfc_date, month_first_date, american_date}) {
    if (const auto moment = form(Scanner(text))) return moment;
  }
  return {};
}

std::optional<Moment> parse_moment(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return {};
  if (const auto moment = decimal(text)) return moment;
  const auto number = parse_number(text);
  if (number && std::abs(*number) < 9e18) {
    const double whole = std::floor(*number);
    return Moment{static_cast<int64_t>(whole), static_cast<uint32_t>((*number - whole) * 999'999'999.0)};
  }
  return parse_date(text);
}

}  // namespace cllm
