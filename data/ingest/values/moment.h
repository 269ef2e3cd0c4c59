#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace cllm {

/// A point in time or an order, with what lies below its unit, so that events of one second keep their order.
struct Moment {
  int64_t time = 0;       // seconds since 1970 of a date; of a number: its integer part, rounded down
  uint32_t fraction = 0;  // 1e-9 of that unit, 0 .. 999,999,999; digits beyond are cut

  /// No time, but a place among others without one.
  static constexpr Moment unknown(uint32_t place = 0) { return {0, kUnit + std::min(place, ~kUnit)}; }
  bool is_known() const { return fraction < kUnit; }

  auto operator<=>(const Moment&) const = default;

 private:
  static constexpr uint32_t kUnit = 1'000'000'000;
};

/// A number; ISO 8601 (2018-07-07, 2018-07-07[ T]22:09[:11[.438]][Z|+02:00|-0700| UTC], with / for -;
/// 20180707T220911Z); RFC 2822 with its zones (EST, PDT, ...), comments and years of two digits, and
/// what asctime and Twitter write (Sat, 07 Jul 2018 22:09:11 +0000; Sat Jul 07 22:09:11 -0700 2018); July 7, 2018; 07
/// 07, 2018 (Amazon 2014); 7/7/2018[ 22:09[:11]], 7/7/2018 10:09:11 PM (month first). Without an offset: UTC. Blanks at
/// the ends are skipped. nullopt: none of these.
std::optional<Moment> parse_moment(std::string_view text);

/// The same as a date only, no number; as a number only.
std::optional<Moment> parse_date(std::string_view text);
std::optional<Moment> parse_count(std::string_view text);

/// What parse_moment reads, for refusals.
inline constexpr std::string_view kMomentForms =
    "1531001351, 1531001351438, 2018-07-07, 2018-07-07[ T]22:09:11[.438][Z|+02:00], Sat, 07 Jul 2018 22:09:11 +0000, "
    "July 7, 2018, 7/7/2018[ 22:09[:11]] (month first), 7/7/2018 10:09:11 PM";

}  // namespace cllm
