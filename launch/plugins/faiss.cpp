#include <faiss/Index.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/index_io.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>

#include "launch/export/faiss_interface.h"

namespace {

// Faiss's own advice for recall above .95 at some 10^6 rows (wiki, "Guidelines to choose an index").
constexpr int kNeighbours = 32, kBreadthOfBuilding = 200, kBreadthOfSearch = 256;

template <typename Work>
int told(char* problem, int64_t room, Work&& work) {
  try {
    work();
    return 0;
  } catch (const std::exception& error) {
    std::snprintf(problem, static_cast<size_t>(room), "%s", error.what());
    return 1;
  }
}

}  // namespace

extern "C" int cllm4rec_faiss_write(const char* path, int kind, const float* rows, int64_t n, int64_t d, char* problem,
                                    int64_t room) {
  return told(problem, room, [&] {
    std::unique_ptr<faiss::Index> index;
    if (kind == 0) {
      index = std::make_unique<faiss::IndexFlatIP>(d);
    } else {
      auto graph =
          std::make_unique<faiss::IndexHNSWFlat>(static_cast<int>(d), kNeighbours, faiss::METRIC_INNER_PRODUCT);
      graph->hnsw.efConstruction = kBreadthOfBuilding;
      graph->hnsw.efSearch = kBreadthOfSearch;
      index = std::move(graph);
    }
    index->add(n, rows);
    faiss::write_index(index.get(), path);
  });
}

extern "C" int cllm4rec_faiss_search(const char* path, const float* queries, int64_t b, int64_t d, int64_t k,
                                     int64_t* numbers, float* scores, char* problem, int64_t room) {
  return told(problem, room, [&] {
    const std::unique_ptr<faiss::Index> index(faiss::read_index(path));
    if (index->d != d) throw std::runtime_error("rows of another width");
    index->search(b, queries, k, scores, numbers);
  });
}
