#pragma once

#include <cstdint>
#include <filesystem>

namespace cllm {

struct DemoOptions {
  int64_t users = 1500;
  int64_t items = 400;
  double applications = 12;  // mean per user; at least 3
  double notes = 0.05;       // share of the applications with a note of the user about the job
  uint64_t seed = 1;
};

/// Writes a synthetic job market in our own layout: users.tsv (biographies), items.tsv (job texts), interactions.tsv
/// (applications in order of time), texts.tsv (notes about pairs), with header lines and string ids. Everybody has a
/// profession, skills and a city; these decide the texts AND, with the popularity of jobs, the applications. So both
/// behaviour and text carry signal, and the text helps most where the history is short. Work is O(users * items).
/// DataError: the folder exists and is not empty, sizes too small, or the disk is full.
void make_demo_data(const std::filesystem::path& dir, const DemoOptions& options);

}  // namespace cllm
