#include "data/ingest/files/first_bytes.h"

#include <algorithm>
#include <array>
#include <string>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"

namespace cllm {
namespace {

using namespace std::string_view_literals;

/// bzip2's block or end, behind the digit of its size.
bool is_bzip2(std::string_view first) {
  constexpr size_t kBehindSize = 4;
  if (first.size() < kBehindSize) return false;
  first.remove_prefix(kBehindSize);
  return first.starts_with("1AY&SY") || first.starts_with("\x17\x72\x45\x38\x50\x90");
}

/// Its name, and no word of a text behind it.
bool is_orc(std::string_view first) {
  return first.size() > 3 &&
         (static_cast<unsigned char>(first[3]) < 0x20 || static_cast<unsigned char>(first[3]) >= 0x7F) &&
         first[3] != '\t' && first[3] != '\r';
}

/// Of protocol 2 to 5.
bool is_pickle(std::string_view first) { return first.size() > 2 && first[1] >= 2 && first[1] <= 5; }

/// Of version 2 or 3.
bool is_rdata(std::string_view first) {
  return first.size() > 4 && (first[3] == '2' || first[3] == '3') && first[4] == '\n';
}

/// A zip archive whose first member is an array of NumPy, called so.
bool is_npz(std::string_view first) {
  constexpr size_t kLengthAt = 26, kNameAt = 30;
  if (first.size() < kNameAt) return false;
  const auto byte = [&](size_t n) { return static_cast<size_t>(static_cast<unsigned char>(first[n])); };
  return first.substr(kNameAt, byte(kLengthAt) + (byte(kLengthAt + 1) << 8)).ends_with(".npy");
}

bool is_page(std::string_view first) {
  first.remove_prefix(std::min(first.find_first_not_of("\xEF\xBB\xBF \t\r\n"), first.size()));
  const std::string start = lower_case(std::string(first.substr(0, 16)));
  return start.starts_with("<!doctype html") || start.starts_with("<html") || start.starts_with("<head");
}

struct Kind {
  std::string_view first, what, remedy;
  size_t offset = 0;
  bool (*is_so)(std::string_view first) = nullptr;  // where the bytes alone do not say it
};

constexpr std::array kKinds{
    Kind{"PK\x03\x04"sv, "arrays of NumPy (.npz)",
         "write a table of pairs; of a sparse matrix: m = scipy.sparse.load_npz('OLD').tocoo(); "
         "numpy.savetxt('interactions.tsv', numpy.c_[m.row, m.col], '%d', '\\t')",
         0, is_npz},
    Kind{"PK\x03\x04"sv, "a zip archive, or a workbook of Excel",
         "call an archive NAME.zip; save a workbook as CSV in UTF-8"},
    Kind{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, "a workbook of Excel", "save it as CSV in UTF-8"},
    Kind{"PAR1"sv, "a Parquet file", "call it NAME.parquet"},
    Kind{"ustar"sv, "a tar archive", "unpack it", 257},
    Kind{"\xFD\x37\x7A\x58\x5A\x00"sv, "packed by xz", "unpack it (xz -d)"},
    Kind{"BZh"sv, "packed by bzip2", "unpack it (bzip2 -d)", 0, is_bzip2},
    Kind{"\x04\x22\x4D\x18"sv, "packed by lz4", "unpack it (lz4 -d)"},
    Kind{"7z\xBC\xAF\x27\x1C"sv, "a 7z archive", "unpack it (7z x)"},
    Kind{"Rar!\x1A\x07"sv, "a rar archive", "unpack it (unrar x)"},
    Kind{"\x89HDF\r\n\x1A\n"sv, "an HDF5 file", "write it as a table (pandas: read_hdf, to_csv)"},
    Kind{"\x93NUMPY"sv, "an array of NumPy", "write it as a table (numpy.savetxt)"},
    Kind{"SQLite format 3\x00"sv, "a data base of SQLite", "write its table (sqlite3 -header -csv)"},
    Kind{"DUCK"sv, "a data base of DuckDB", "write its table (duckdb OLD -csv -c 'FROM TABLE' > interactions.csv)", 8},
    Kind{"\xFF\xFF\xFF\xFF"sv, "an Arrow stream, as Hugging Face saves data sets",
         "write it as Parquet, in Python: datasets.load_from_disk('FOLDER').to_parquet('interactions.parquet')"},
    Kind{"ARROW1\x00\x00"sv, "a Feather file of Arrow", "write it as Parquet (pandas: read_feather, to_parquet)"},
    Kind{"FEA1"sv, "a Feather file of version 1", "write it as Parquet (pandas: read_feather, to_parquet)"},
    Kind{"Obj\x01"sv, "an Avro file", "write it as Parquet or JSON lines"},
    Kind{"ORC"sv, "an ORC file", "write it as Parquet", 0, is_orc},
    Kind{"X\n\0\0\0"sv, "an object of R (.rds)",
         "write it as a table, in R: write.csv(readRDS('OLD'), 'interactions.csv', row.names = FALSE)"},
    Kind{"RDX"sv, "objects of R (.RData)",
         "write one as a table, in R: load('OLD'); write.csv(NAME, 'interactions.csv', row.names = FALSE)", 0,
         is_rdata},
    Kind{"%PDF-"sv, "a PDF", "give a table"},
    Kind{"\x80"sv, "a pickle of Python", "write it as a table (pandas: read_pickle, to_csv)", 0, is_pickle},
    Kind{"%%MatrixMarket"sv, "a matrix of Matrix Market",
         "write its triples as a table: (echo user item rating; grep -v '^%' OLD | tail -n +2) > interactions.tsv"},
    Kind{"<?xml"sv, "XML", "write it as CSV or JSON lines"},
    Kind{""sv, "a web page", "download the data again; a page in its place often asks to log in or tells of an error",
         0, is_page},
};

[[noreturn]] void refuse(const std::filesystem::path& path, std::string_view what, std::string_view remedy) {
  throw DataError(path.string() + ": by its first bytes " + std::string(what) + ", not a table of text; " +
                  std::string(remedy));
}

}  // namespace

Packing packing_of(std::string_view first) {
  if (first.starts_with("\x1F\x8B\x08")) return Packing::kGzip;
  if (first.starts_with("\x28\xB5\x2F\xFD")) return Packing::kZstd;
  return Packing::kNone;
}

void refuse_what_is_no_text(std::string_view first, const std::filesystem::path& path) {
  for (const Kind& kind : kKinds) {
    if (first.size() < kind.offset || !first.substr(kind.offset).starts_with(kind.first)) continue;
    if (kind.is_so == nullptr || kind.is_so(first)) refuse(path, kind.what, kind.remedy);
  }
}

}  // namespace cllm
