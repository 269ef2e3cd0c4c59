#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "data/corpus/files.h"
#include "tests/bad_input/bad_input.h"

namespace cllm::testing {

namespace fs = std::filesystem;

World::World(const std::function<int(const std::string&)>& run_command)
    : root_(fs::temp_directory_path() / ("cllm_bad_input_" + std::to_string(getpid()))) {
  fs::remove_all(root_);
  fs::create_directories(root_ / "good");
  fs::current_path(root_ / "good");
  for (const char* arguments :
       {"demo-data raw --users 24 --items 12 --applications 5",
        "prepare --input raw --output corpus --train-tokenizer 280",
        "pretrain-backbone --corpus corpus --output backbone --layers 1 --heads 2 --width 16 --positions 96 --context "
        "32 "
        "--blocks 4 --epochs 1",
        "train --run.dir=run --run.corpus=corpus --run.backbone=backbone --warmup.epochs=1 --mutual.epochs=1 "
        "--finetune.epochs=1"}) {
    if (run_command(arguments) != 0)
      throw std::runtime_error(std::string("the good world cannot be made: ") + arguments);
  }
}

World::~World() {
  std::error_code ignored;
  fs::current_path("/", ignored);
  fs::remove_all(root_, ignored);
}

void World::enter_copy(const std::string& name) const {
  fs::copy(root_ / "good", root_ / name, fs::copy_options::recursive);
  fs::current_path(root_ / name);
}

void write(const std::string& path, const std::string& bytes) {
  if (fs::path(path).has_parent_path()) fs::create_directories(fs::path(path).parent_path());
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void remove(const std::string& path) {
  if (fs::remove_all(path) == 0) throw std::runtime_error("no " + path + " to remove");
}

void truncate(const std::string& path, size_t bytes) { fs::resize_file(path, bytes); }

void replace(const std::string& path, const std::string& before, const std::string& now) {
  std::string text = read(path);
  const size_t at = text.find(before);
  if (at == std::string::npos) throw std::runtime_error(path + " holds no " + before);
  write(path, text.replace(at, before.size(), now));
}

void flip_byte(const std::string& path, size_t offset) {
  std::string bytes = read(path);
  bytes.at(offset) = static_cast<char>(bytes[offset] ^ 0x40);
  write(path, bytes);
}

void forge_corpus(const std::function<void(nlohmann::ordered_json&)>& change) {
  auto json = nlohmann::ordered_json::parse(read("corpus/corpus.json"));
  change(json);
  json.erase("fingerprint");
  json["fingerprint"] = digest_of(json.dump());
  write("corpus/corpus.json", json.dump(2) + "\n");
}

void forge_checkpoint(const std::string& path, const std::function<void(nlohmann::json&)>& change) {
  auto json = nlohmann::json::parse(read(path));
  change(json);
  json.erase("checksum");
  const std::string text = json.dump();
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(text.data(), text.size())));
  json["checksum"] = digits;
  write(path, json.dump(1) + "\n");
}

std::string find(const std::string& dir, const std::string& part) {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    if (entry.path().string().find(part) != std::string::npos && entry.is_regular_file()) found.push_back(entry.path());
  }
  if (found.empty()) throw std::runtime_error("no " + part + " in " + dir);
  return *std::max_element(found.begin(), found.end());
}

std::string checkpoint_manifest() { return find("run/checkpoints", "manifest.json"); }

std::string safetensors(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data_bytes, '\0');
}

}  // namespace cllm::testing
