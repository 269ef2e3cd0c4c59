#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cllm {

/// Input files are named by paths, folders of Parquet parts count as files; those inside of a zip archive by
/// dir/archive.zip/folder/member; numbered files that are parts of one table by dir/name-*.csv.

/// The archive that the path goes through; empty: none.
std::filesystem::path zip_of(const std::filesystem::path& path);

/// Files of a folder (not of the folders in it, unless one folder is all that it holds) and members of its zip
/// archives, sorted by name (part-2 before part-10); of an archive itself or of a single file: what it holds. DataError
/// if it does not exist, or an archive is damaged, or a link leads to nothing.
std::vector<std::filesystem::path> input_files(const std::filesystem::path& place);

/// DataError for a link to what is not there.
void refuse_dangling(const std::filesystem::directory_entry& entry);

/// Those that people see, sorted.
std::vector<std::filesystem::path> folders_in(const std::filesystem::path& place);

/// Of name-*.csv the files with a number in place of *, packed or not, sorted; of another path itself. Without those
/// that hold nothing, unless all do.
std::vector<std::filesystem::path> input_parts(const std::filesystem::path& path);
std::vector<std::filesystem::path> empty_parts(const std::filesystem::path& path);  // the others of them
/// A name cut where numbers begin and end: text, number, text, ...
std::vector<std::string> pieces_of(const std::string& name);
/// Of files named NAME-00001-of-00003 which are not there, for people; empty: none.
std::string missing_of_so_many(const std::vector<std::filesystem::path>& files);
void refuse_missing_of_so_many(const std::filesystem::path& place, const std::vector<std::filesystem::path>& files);
/// Of the numbered parts of a table: "part-00001.csv is not there"; empty: none is missing.
std::string gap_in_parts(const std::vector<std::filesystem::path>& parts);
/// Named as Spark and Dask name parts: part-0....
bool is_numbered_part(const std::string& name);
/// "ratings.csv" of ratings-*.csv and of ratings/part-*.csv.
std::filesystem::path name_of_parts(const std::filesystem::path& path);

bool input_exists(const std::filesystem::path& path);
/// Of the file as it is on disk, compressed. DataError if there is none.
uint64_t input_bytes(const std::filesystem::path& path);

/// Files of a folder of parts as Spark, Hive and pandas write it (part-0.parquet, region=x/part-0.parquet), sorted; of
/// a file itself; empty: neither. DataError: a folder of Delta Lake, Iceberg or Hudi, where parts may be outdated;
/// parts that say how many they are, of which some are missing.
std::vector<std::filesystem::path> parquet_parts(const std::filesystem::path& path);

/// Is it such a folder: named .parquet, or holding nothing but numbered parts?
bool is_parquet_folder(const std::filesystem::path& path);

/// Without .gz or .zst at the end.
std::string without_packing(const std::string& name);

/// "ratings.csv" of x/ratings.csv.gz and x/ratings.csv.zst, "a.parquet" of a.snappy.parquet.
std::filesystem::path bare_name(const std::filesystem::path& path);

std::string lower_case(std::string text);  // of ASCII

/// The order in which people count files: numbers in names by their size.
bool comes_before(const std::filesystem::path& a, const std::filesystem::path& b);

/// Those whose bare name, in lower case, has one of the extensions and a stem that satisfies `wanted`.
std::vector<std::filesystem::path> files_named(const std::vector<std::filesystem::path>& files,
                                               const std::vector<std::string>& extensions,
                                               bool (*wanted)(std::string_view stem));

/// The one of that bare name, which is in lower case; those of files need not be; empty: none. DataError if there are
/// two.
std::filesystem::path file_named(const std::vector<std::filesystem::path>& files, const std::string& name);

/// "ratings.dat, movies.dat and 3 more".
std::string list_of_names(const std::vector<std::filesystem::path>& files);

/// A member of a zip archive, as its central directory has it.
struct ZipMember {
  std::string name;
  uint64_t offset = 0, compressed = 0, size = 0;
  uint16_t method = 0;  // 0 stored, 8 deflated
};
std::vector<ZipMember> zip_members(const std::filesystem::path& archive);

}  // namespace cllm
