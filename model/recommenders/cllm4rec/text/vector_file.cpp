#include "model/recommenders/cllm4rec/text/vector_file.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>

#include <fstream>
#include <string>
#include <vector>

#include "data/errors.h"
#include "model/backbones/safetensors.h"

namespace cllm {
namespace {

std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file)
    throw DataError("rows.text.source: " + path.string() +
                    " is missing: it names the items of the vectors, one raw id "
                    "a line");
  std::vector<std::string> out;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    out.push_back(line);
  }
  return out;
}

}  // namespace

at::Tensor vectors_of_file(const Corpus& corpus, const std::filesystem::path& path) {
  const std::string where = "rows.text.source = \"" + path.string() + "\": ";
  if (path.extension() != ".safetensors")
    throw DataError(where + "no such source: say tf-idf, backbone, or name a .safetensors file");
  if (!std::filesystem::exists(path))
    throw DataError(where + "no such file: name one that cllm4rec embed wrote, or say tf-idf or backbone");
  const at::Tensor vectors_nk = SafetensorsFile(path.string()).tensor("vectors").to(at::kDouble);
  std::filesystem::path ids_path = path;
  ids_path.replace_extension(".ids.txt");
  const std::vector<std::string> ids = lines_of(ids_path);
  if (vectors_nk.dim() != 2 || vectors_nk.size(0) != std::ssize(ids)) {
    throw DataError(where + "the tensor vectors must have a row for each of the " + std::to_string(ids.size()) +
                    " lines of " + ids_path.string() + ": write both anew");
  }
  if (!at::isfinite(vectors_nk).all().item<bool>())
    throw DataError(where + "numbers that are not finite: write it anew");
  const Vocabulary& vocabulary = corpus.vocabulary();
  at::Tensor out_Vk = at::zeros({vocabulary.num_users + vocabulary.num_items, vectors_nk.size(1)}, at::kDouble);
  std::vector<bool> seen(static_cast<size_t>(vocabulary.num_items), false);
  int64_t known = 0;
  for (size_t n = 0; n < ids.size(); ++n) {
    const std::optional<int64_t> item = corpus.find_item(ids[n]);
    if (!item) continue;
    if (seen[static_cast<size_t>(*item)])
      throw DataError(ids_path.string() + ":" + std::to_string(n + 1) + ": item " + ids[n] +
                      " is there twice: leave one out");
    seen[static_cast<size_t>(*item)] = true;
    out_Vk[vocabulary.num_users + *item].copy_(vectors_nk[static_cast<int64_t>(n)]);
    ++known;
  }
  if (known == 0)
    throw DataError(where + "none of its ids is an item of " + corpus.dir().string() + ": it must name raw item ids");
  return out_Vk;
}

}  // namespace cllm
