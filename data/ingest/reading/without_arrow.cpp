#include "data/errors.h"
#include "data/ingest/reading/columnar_rows.h"

namespace cllm {

std::unique_ptr<ColumnarRows> open_parquet(const std::filesystem::path& path) {
  throw DataError(path.string() +
                  ": this build has no Arrow, which reads Parquet: `launch/setup --with-parquet`, then build again; or "
                  "convert the file: python -c \"import pandas; pandas.read_parquet('" +
                  path.filename().string() + "').to_csv('" + path.stem().string() + ".csv', index=False)\"");
}

}  // namespace cllm
