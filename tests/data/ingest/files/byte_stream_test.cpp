#include "data/ingest/files/byte_stream.h"

#include <gmock/gmock.h>

#include "data/corpus/files.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/files/line_reader.h"
#include "tests/data/ingest/scratch.h"
#include "tests/data/ingest/zip_writer.h"

namespace cllm::testing {
namespace {

using namespace std::string_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string bytes_of(const std::filesystem::path& path, const std::string& encoding = "") {
  const auto stream = open_bytes(path, encoding);
  std::string out, block(7, '\0');  // odd, so that characters are cut
  while (const size_t count = stream->read(block.data(), block.size())) out.append(block, 0, count);
  return out;
}

TEST(ByteStream, skips_the_byte_order_mark_of_utf8_and_reads_utf16_by_its_own) {
  const Scratch scratch;
  EXPECT_EQ(bytes_of(scratch.write("a.csv", "\xEF\xBB\xBFuser,item\n")), "user,item\n");
  EXPECT_EQ(bytes_of(scratch.write("b.csv", "\xFF\xFEu\0\xE9\0-N\n\0"s)), "u\xC3\xA9\xE4\xB8\xAD\n");
  EXPECT_EQ(bytes_of(scratch.write("c.csv", "\xFE\xFF\0u\0\xE9N-\0\n"s)), "u\xC3\xA9\xE4\xB8\xAD\n");
  EXPECT_EQ(bytes_of(scratch.write("d.csv", "")), "");
  EXPECT_EQ(bytes_of(scratch.write("e.csv", "ab")), "ab");
}

TEST(ByteStream, reads_other_encodings_and_marks_what_is_no_character) {
  const Scratch scratch;
  const auto latin = scratch.write("a.csv", "Caf\xE9 Bl\xFC");
  EXPECT_EQ(bytes_of(latin, "latin-1"), "Caf\xC3\xA9 Bl\xC3\xBC");
  EXPECT_EQ(bytes_of(latin, "windows-1252"), "Caf\xC3\xA9 Bl\xC3\xBC");
  EXPECT_EQ(bytes_of(scratch.write("b.csv", "\xC4\xE3\xBA\xC3"), "gb18030"), "\xE4\xBD\xA0\xE5\xA5\xBD");
  EXPECT_EQ(bytes_of(scratch.write("c.csv", "u\0n\0"s), "utf-16"), "un");
  EXPECT_EQ(bytes_of(scratch.write("d.csv", "ok\xFF\xC4"), "gb18030"), "ok\xFF\xFF");
  EXPECT_THAT(error_of([&] { bytes_of(latin, "klingon"); }), HasSubstr("unknown encoding 'klingon'"));
  std::string text;
  for (int n = 0; n < 100000; ++n) text += static_cast<char>(0xA1 + n % 90);
  EXPECT_EQ(bytes_of(scratch.write("e.csv", text), "latin-1").size(), 200000u);
}

TEST(ByteStream, reads_members_of_zip_archives_stored_deflated_and_packed_again) {
  const Scratch scratch;
  std::string rows;
  for (int n = 0; n < 50000; ++n) rows += std::to_string(n) + ",item\n";
  const auto packed = read_small_file(scratch.write("x.csv.gz", rows), 1 << 24);
  write_zip(scratch.in() / "a.zip", {{"set/plain.csv", "u,i\n", false},
                                     {"set/rows.csv", rows, true},
                                     {"rows.csv.gz", packed, false},
                                     {"twice.csv.gz", packed + packed, false}});
  const auto archive = scratch.in() / "a.zip";
  EXPECT_EQ(bytes_of(archive / "set/plain.csv"), "u,i\n");
  EXPECT_EQ(bytes_of(archive / "set/rows.csv"), rows);
  EXPECT_EQ(bytes_of(archive / "rows.csv.gz"), rows);
  EXPECT_EQ(bytes_of(archive / "twice.csv.gz"), rows + rows);  // gzip files behind each other are one
  EXPECT_EQ(input_bytes(archive / "set/plain.csv"), 4u);
  EXPECT_THAT(error_of([&] { bytes_of(archive / "none.csv"); }), HasSubstr("no such member"));
}

TEST(InputFiles, are_those_of_the_folder_and_of_its_archives_but_none_outside) {
  const Scratch scratch;
  scratch.write("b.csv", "x");
  scratch.write(".hidden", "x");
  write_zip(
      scratch.in() / "a.zip",
      {{"set/c.csv", "x", false}, {"../../etc/passwd", "x", false}, {"/etc/passwd", "x", false}, {"set/", "", false}});
  EXPECT_THAT(input_files(scratch.in()), ElementsAre(scratch.in() / "a.zip/set/c.csv", scratch.in() / "b.csv"));
  EXPECT_THAT(input_files(scratch.in() / "a.zip"), ElementsAre(scratch.in() / "a.zip/set/c.csv"));
  EXPECT_THAT(input_files(scratch.in() / "b.csv"), ElementsAre(scratch.in() / "b.csv"));
}

TEST(InputFiles, of_a_damaged_archive_are_refused_wherever_it_is_damaged) {
  const Scratch scratch;
  write_zip(scratch.in() / "a.zip", {{"rows.csv", std::string(3000, 'x'), true}});
  const std::string good = read_small_file(scratch.in() / "a.zip", 1 << 20);
  size_t refused = 0;
  for (size_t place = 0; place < good.size(); ++place) {
    std::string bad = good;
    bad[place] = static_cast<char>(bad[place] ^ 0x5A);
    scratch.write("a.zip", bad);
    try {
      for (const auto& file : input_files(scratch.in())) bytes_of(file);
    } catch (const DataError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 30u);  // the rest are names, dates and checksums
  for (size_t length = 0; length + 1 < good.size(); length += 3) {
    scratch.write("a.zip", good.substr(0, length));
    EXPECT_THAT(error_of([&] { input_files(scratch.in()); }), HasSubstr("a.zip: ")) << length;
  }
}

TEST(LineReader, refuses_a_file_with_the_line_ends_of_old_macs) {
  const Scratch scratch;
  LineReader lines(scratch.write("a.tsv", "user\titem\ru\ta\rv\tb\r"));
  std::string_view line;
  EXPECT_THAT(error_of([&] { lines.next(line); }), HasSubstr("a.tsv: one line only; line ends of old Macs?"));
}

}  // namespace
}  // namespace cllm::testing
