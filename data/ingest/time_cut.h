#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "data/ingest/filter.h"
#include "data/ingest/interactions.h"

namespace cllm {

/// Two points in time. An interaction at a cut belongs to the later part, as all others of that time do.
struct TimeCuts {
  std::optional<int64_t> validation, test;  // the first time of the part; none: the part is empty

  Part part_of(int64_t time) const {
    if (test && time >= *test) return Part::kTest;
    return validation && time >= *validation ? Part::kValidation : Part::kTrain;
  }
};

/// DataError: a share of a split by time is negative, that of training 0, or their sum not 1.
void check_time_shares(const std::array<double, kNumParts>& shares);

/// The cuts that give the parts their shares of the interactions that the filters left, counted over all users in the
/// order of time. Ties move to the later part, so that an earlier one may get less than its share. DataError if an
/// interaction has no time, or if nothing would be left for training.
TimeCuts find_time_cuts(RecordFile<Pair>& pairs, const InternalIds& ids, const IngestFolder& work);

/// Counts users and items whose interactions all lie after the first cut.
class Latecomers {
 public:
  Latecomers(uint32_t num_users, uint32_t num_items) : users_(num_users), items_(num_items) {}
  void add(uint32_t user, uint32_t item, Part part);
  uint64_t users() const { return count(users_); }
  uint64_t items() const { return count(items_); }

 private:
  enum Seen : uint8_t { kNever, kLate, kInTraining };
  static uint64_t count(const std::vector<Seen>& seen);
  std::vector<Seen> users_, items_;  // by internal id
};

}  // namespace cllm
