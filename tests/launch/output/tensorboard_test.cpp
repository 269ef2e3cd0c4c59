#include "launch/output/tensorboard.h"

#include <gtest/gtest.h>

#include <cstring>

namespace cllm {
namespace {

std::string hex(std::string_view bytes) {
  std::string text;
  for (unsigned char c : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", c);
    text += digits;
  }
  return text;
}

TEST(Tensorboard, Crc32cMatchesRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
}

// The bytes that RecordWriter of the Python package tensorboard 2.21.0 gives for the same events.
TEST(Tensorboard, RecordsAreThoseOfThePythonPackage) {
  EXPECT_EQ(hex(tfrecord(first_event(1.5))),
            "1800000000000000a37f4b22"
            "09000000000000f83f1a0d627261696e2e4576656e743a32"
            "2a28646c");
  EXPECT_EQ(hex(tfrecord(scalar_event(1.5, 300, {{"mutual/step/loss", 5.25}, {"b", -1e-3}}))),
            "31000000000000009d8383e9"
            "09000000000000f83f10ac022a230a170a106d757475616c2f737465702f6c6f7373150000a840"
            "0a080a0162156f1283ba"
            "eb0d2340");
}

TEST(Tensorboard, EventsUpToAStepEndAtAWholeRecord) {
  const std::string first = tfrecord(first_event(1));
  const std::string one = tfrecord(scalar_event(1, 1, {{"a", 1}})),
                    big = tfrecord(scalar_event(1, 300, {{"a", 1}, {"b", 2}}));
  const std::string file = first + one + big;
  EXPECT_EQ(events_up_to(file, 1000), file.size());
  EXPECT_EQ(events_up_to(file, 300), file.size());
  EXPECT_EQ(events_up_to(file, 299), first.size() + one.size());
  EXPECT_EQ(events_up_to(file, 0), first.size());
}

TEST(Tensorboard, EventsUpToAStepLeaveOutDamage) {
  const std::string first = tfrecord(first_event(1)), one = tfrecord(scalar_event(1, 1, {{"a", 1}}));
  const std::string file = first + one;
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_EQ(events_up_to(file.substr(0, size), 9), size < first.size() ? 0 : first.size());
  }
  std::string flipped = file;
  flipped[first.size() + 20] ^= 1;
  EXPECT_EQ(events_up_to(flipped, 9), first.size());
  EXPECT_EQ(events_up_to(std::string(64, '\xFF'), 9), 0u);
}

}  // namespace
}  // namespace cllm
