#include <dlfcn.h>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/columnar_rows.h"
#include "data/plugin.h"

namespace cllm {
namespace {

constexpr const char* kFile = "cllm4rec_parquet.so";
#ifdef CLLM_OPEN_PARQUET_PARTS
#define CLLM_NAME_OF(symbol) #symbol
#define CLLM_VALUE_OF(macro) CLLM_NAME_OF(macro)
constexpr const char* kName = CLLM_VALUE_OF(CLLM_OPEN_PARQUET_PARTS);
#else  // a build without Arrow makes no such file
constexpr const char* kName = "cllm4rec_open_parquet_parts";
#endif

/// Arrow is in a process only once it has read a Parquet file.
struct ParquetPlugin {
  OpenParquetParts* open = nullptr;
  std::string problem;

  ParquetPlugin() {
    void* const module = open_plugin(kFile, /*isolated=*/false, problem);
    if (module == nullptr) return;
    open = reinterpret_cast<OpenParquetParts*>(dlsym(module, kName));
    if (open == nullptr) problem = std::string(kFile) + " beside the program is of another build";
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
