#include "model/backbones/gguf/shared_weights.h"

#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "model/errors.h"

namespace cllm {
namespace {

using nlohmann::json;

constexpr int64_t kAlignment = 64;

/// An open file, closed with it.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (is_open()) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

std::shared_ptr<char> mapped(int file, int64_t size, int flags) {
  void* const begin = ::mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, flags, file, 0);
  if (begin == MAP_FAILED) return nullptr;
  return {static_cast<char*>(begin), [size](char* p) { ::munmap(p, static_cast<size_t>(size)); }};
}

/// Where every tensor of the weights would lie: a list of entries, and `size` of all.
json laid_out(const Weights& weights) {
  json entries = json::array();
  int64_t end = 0;
  for (const auto& [name, weight] : weights) {
    entries.push_back({{"name", name},
                       {"file", weight.file},
                       {"name_there", weight.name},
                       {"dtype", static_cast<int>(weight.tensor.scalar_type())},
                       {"shape", weight.tensor.sizes().vec()},
                       {"begin", end}});
    end += (static_cast<int64_t>(weight.tensor.nbytes()) + kAlignment - 1) / kAlignment * kAlignment;
  }
  return {{"entries", std::move(entries)}, {"size", end}};
}

Weights views(const json& layout, const std::shared_ptr<char>& memory) {
  Weights out;
  for (const json& entry : layout.at("entries")) {
    char* const begin = memory.get() + entry.at("begin").get<int64_t>();
    const auto dtype = static_cast<at::ScalarType>(entry.at("dtype").get<int>());
    const auto shape = entry.at("shape").get<std::vector<int64_t>>();
    at::Tensor tensor = at::from_blob(
        begin, shape, [memory](void*) {}, at::TensorOptions().dtype(dtype));
    out[entry.at("name")] = {std::move(tensor), entry.at("file"), entry.at("name_there")};
  }
  return out;
}

/// Moves the tensors, one after the other, into the memory of `file`; false if there is none.
bool fill(int file, const json& layout, Weights& weights) {
  const auto size = layout.at("size").get<int64_t>();
  if (file < 0 || size == 0 || ::ftruncate(file, size) != 0) return false;
  const std::shared_ptr<char> memory = mapped(file, size, MAP_SHARED);
  if (memory == nullptr) return false;
  for (const json& entry : layout.at("entries")) {
    at::Tensor& tensor = weights.at(entry.at("name")).tensor;
    std::memcpy(memory.get() + entry.at("begin").get<int64_t>(), tensor.contiguous().const_data_ptr(), tensor.nbytes());
    tensor = at::Tensor();
  }
  return true;
}

}  // namespace

Weights shared_weights(Communicator& host, const std::function<Weights()>& read) {
  if (host.world_size() == 1) return read();
  const bool first = host.rank() == 0;
  Weights weights;
  json message = {{"error", ""}};
  std::unique_ptr<Descriptor> file;
  if (first) {
    try {
      weights = read();
      json layout = laid_out(weights);
      file = std::make_unique<Descriptor>(::memfd_create("cllm4rec-weights", MFD_CLOEXEC));
      if (fill(file->number(), layout, weights)) {
        message["layout"] = std::move(layout);
        message["path"] = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file->number());
      }
    } catch (const ModelError& error) {
      message["error"] = error.what();
    }
  }
  message = json::parse(broadcast_string(host, message.dump(-1, ' ', false, json::error_handler_t::replace), 0));
  if (message.at("error") != "") throw ModelError(message.at("error").get<std::string>());
  std::shared_ptr<char> memory;
  if (message.contains("layout")) {
    if (!first) file = std::make_unique<Descriptor>(::open(message.at("path").get<std::string>().c_str(), O_RDONLY));
    if (file->is_open()) memory = mapped(file->number(), message.at("layout").at("size"), MAP_PRIVATE);
  }
  host.barrier();  // the first rank's file is open until all have mapped it
  if (memory != nullptr) return views(message.at("layout"), memory);
  return first && !message.contains("layout") ? weights : read();
}

}  // namespace cllm
