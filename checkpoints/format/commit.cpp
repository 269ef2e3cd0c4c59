#include "checkpoints/format/commit.h"

#include <cstdio>

namespace cllm {

using std::filesystem::path;

namespace {

std::string file_name(const char* kind, int number, int num_shards) {
  char name[60];
  std::snprintf(name, sizeof(name), "%s-%05d-of-%05d.h5", kind, number, num_shards);
  return name;
}

}  // namespace

std::string shard_name(int number, int num_shards) { return file_name("shard", number, num_shards); }

std::string changes_name(int number, int num_shards) { return file_name("changes", number, num_shards); }

path draft_of(const path& final_dir, const std::string& run_id) { return final_dir.string() + ".tmp-" + run_id; }

void commit(Files& files, const path& draft, const path& final_dir, const Manifest& manifest) {
  write_file(files, draft / "manifest.json", to_text(manifest));
  files.sync_file(draft / "manifest.json");
  files.sync_directory(draft);
  if (!std::filesystem::exists(final_dir)) {
    files.rename(draft, final_dir);
  } else if (!files.exchange(draft, final_dir)) {
    const path replaced = final_dir.string() + ".tmp-replaced";
    files.remove_tree(replaced);
    files.rename(final_dir, replaced);
    files.rename(draft, final_dir);
    files.remove_tree(replaced);
  }
  files.sync_directory(final_dir.parent_path());
  files.remove_tree(draft);  // holds the old folder after a swap
}

}  // namespace cllm
