#include "data/ingest/files/input_files.h"

#include <algorithm>

#include "data/errors.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

bool is_zip(const fs::path& path) {
  return lower_case(path.extension().string()) == ".zip" && fs::is_regular_file(path);
}

/// The digits at the front, which are taken off, without zeros before them.
std::string_view take_digits(std::string_view& text) {
  const std::string_view digits = text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size()));
  text.remove_prefix(digits.size());
  return digits.substr(std::min(digits.find_first_not_of('0'), digits.size()));
}

bool name_before(std::string_view a, std::string_view b) {
  const std::string_view whole_a = a, whole_b = b;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      const std::string_view x = take_digits(a), y = take_digits(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      continue;
    }
    if (a[0] != b[0]) return static_cast<unsigned char>(a[0]) < static_cast<unsigned char>(b[0]);
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  return a.empty() && b.empty() ? whole_a < whole_b : a.empty();
}

void add_members(const fs::path& archive, std::vector<fs::path>& files) {
  for (const ZipMember& member : zip_members(archive)) {
    const fs::path name(member.name);
    const bool outside = name.is_absolute() || std::find(name.begin(), name.end(), "..") != name.end();
    if (!outside && name.has_filename() && *name.begin() != "__MACOSX") files.push_back(archive / name);
  }
}

}  // namespace

fs::path zip_of(const fs::path& path) {
  fs::path place;
  for (const fs::path& part : path) {
    place /= part;
    if (lower_case(part.extension().string()) == ".zip" && place != path && is_zip(place)) return place;
  }
  return {};
}

void refuse_dangling(const fs::directory_entry& entry) {
  std::error_code ignored;
  if (!entry.is_symlink(ignored) || fs::exists(entry.path(), ignored)) return;
  throw DataError(entry.path().string() + ": a link to " + fs::read_symlink(entry.path(), ignored).string() +
                  ", which is not there; mend the link, or take it out of the input");
}

std::vector<fs::path> folders_in(const fs::path& place) {
  std::vector<fs::path> folders;
  if (!fs::is_directory(place)) return folders;
  for (const auto& entry : fs::directory_iterator(place)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !name.starts_with('.') && name != "__MACOSX") folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::vector<fs::path> input_files(const fs::path& place) {
  std::vector<fs::path> files;
  const fs::path named = place.has_filename() ? place : place.parent_path();  // without the / at the end
  if (is_zip(place)) {
    add_members(place, files);
  } else if (is_parquet_folder(named)) {
    files.push_back(named);
  } else if (fs::is_directory(place)) {
    for (const auto& entry : fs::directory_iterator(place)) {
      const bool file = entry.is_regular_file() || is_parquet_folder(entry.path());
      if (entry.path().filename().string().starts_with('.')) continue;
      refuse_dangling(entry);
      if (!file) continue;
      if (is_zip(entry.path())) {
        add_members(entry.path(), files);
      } else {
        files.push_back(entry.path());
      }
    }
  } else if (fs::exists(place) || input_parts(place)[0] != place) {
    files.push_back(place);
  } else {
    throw DataError(place.string() + ": no such folder; give the folder that holds the raw files");
  }
  std::sort(files.begin(), files.end(), comes_before);
  const auto folders = files.empty() ? folders_in(place) : std::vector<fs::path>();
  return folders.size() == 1 ? input_files(folders[0]) : files;
}

bool input_exists(const fs::path& path) {
  if (const auto parts = input_parts(path); parts[0] != path) return true;
  const fs::path archive = zip_of(path);
  if (archive.empty()) return fs::exists(path);
  const auto files = input_files(archive);
  return std::find(files.begin(), files.end(), path) != files.end();
}

uint64_t input_bytes(const fs::path& path) {
  if (const auto parts = input_parts(path); parts[0] != path) {
    uint64_t bytes = 0;
    for (const fs::path& part : parts) bytes += input_bytes(part);
    return bytes;
  }
  const fs::path archive = zip_of(path);
  if (fs::is_directory(path)) {
    uint64_t bytes = 0;
    for (const fs::path& part : parquet_parts(path)) bytes += fs::file_size(part);
    return bytes;
  }
  if (archive.empty()) {
    std::error_code error;
    const uint64_t bytes = fs::file_size(path, error);
    if (error) throw DataError(path.string() + ": cannot read: " + error.message());
    return bytes;
  }
  for (const ZipMember& member : zip_members(archive)) {
    if (archive / fs::path(member.name) == path) return member.compressed;
  }
  throw DataError(path.string() + ": no such member of the archive");
}

std::string without_packing(const std::string& name) {
  const fs::path path(name);
  const std::string extension = lower_case(path.extension().string());
  return extension == ".gz" || extension == ".zst" ? path.stem().string() : name;
}

fs::path bare_name(const fs::path& path) {
  const fs::path name = path.filename();
  if (name.extension() == ".parquet" && name.stem().has_extension()) {  // .snappy.parquet
    return name.stem().stem().string() + ".parquet";
  }
  const fs::path bare = without_packing(name.string());
  return bare.string().find('*') == std::string::npos ? bare : name_of_parts(path.parent_path() / bare);
}

bool comes_before(const fs::path& a, const fs::path& b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](const fs::path& x, const fs::path& y) {
    return name_before(x.string(), y.string());
  });
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

std::vector<fs::path> files_named(const std::vector<fs::path>& files, const std::vector<std::string>& extensions,
                                  bool (*wanted)(std::string_view stem)) {
  std::vector<fs::path> found;
  for (const fs::path& file : files) {
    const fs::path name = lower_case(bare_name(file).string());
    const bool fits = std::find(extensions.begin(), extensions.end(), name.extension().string()) != extensions.end();
    if (fits && wanted(name.stem().string())) found.push_back(file);
  }
  return found;
}

fs::path file_named(const std::vector<fs::path>& files, const std::string& name) {
  fs::path found;
  for (const fs::path& file : files) {
    if (lower_case(bare_name(file).string()) != name) continue;
    if (!found.empty()) {
      throw DataError("both " + found.string() + " and " + file.string() + "; leave one in the input");
    }
    found = file;
  }
  return found;
}

std::string list_of_names(const std::vector<fs::path>& files) {
  constexpr size_t kMost = 8;
  std::string out;
  for (size_t n = 0; n < std::min(files.size(), kMost); ++n) out += (n > 0 ? ", " : "") + files[n].filename().string();
  if (files.size() > kMost) out += " and " + std::to_string(files.size() - kMost) + " more";
  return out.empty() ? "nothing" : out;
}

}  // namespace cllm
