#include "data/errors.h"
#include "data/ingest/files/byte_stream.h"

namespace cllm {

std::unique_ptr<ByteStream> open_zstd(std::unique_ptr<ByteStream>, const std::string& name) {
  throw DataError(name + ": this build has no zstd (package libzstd-dev); unpack it with `zstd -d`");
}

}  // namespace cllm
