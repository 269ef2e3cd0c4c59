#include <dlfcn.h>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/columnar_rows.h"
#include "data/plugin.h"

namespace cllm {
namespace {

/// Arrow is in a process only once it has read a Parquet file.
struct ParquetPlugin {
  OpenParquetParts* open = nullptr;
  std::string problem;

  ParquetPlugin() {
    if (void* const module = open_plugin("cllm4rec_parquet.so", /*isolated=*/false, problem))
      open = reinterpret_cast<OpenParquetParts*>(dlsym(module, kOpenParquetParts));
  }
};

}  // namespace

std::unique_ptr<ColumnarRows> open_parquet(const std::filesystem::path& path) {
  const std::vector<std::filesystem::path> parts = parquet_parts(path);
  static const ParquetPlugin plugin;
  if (plugin.open == nullptr) {
    throw DataError(path.string() + ": this build has no Arrow, which reads Parquet" +
                    (plugin.problem.empty() ? "" : " (" + plugin.problem + ")") +
                    ": `launch/setup --with-parquet`, then build again; or "
                    "convert the file: python -c \"import pandas; pandas.read_parquet('" +
                    path.filename().string() + "').to_csv('" + path.stem().string() + ".csv', index=False)\"");
  }
  if (parts.empty()) throw DataError(path.string() + ": no Parquet file; one inside of an archive: unpack it first");
  return std::unique_ptr<ColumnarRows>(plugin.open(path, parts));
}

}  // namespace cllm
