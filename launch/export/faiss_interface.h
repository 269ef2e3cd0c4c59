#pragma once

// What the program asks of the Faiss plug-in (launch/plugins/faiss.cpp): a module of its own, so that Faiss and its
// BLAS are in a process only while it exports. C, because nothing else is sure to be the same on both sides.

#include <cstdint>

extern "C" {

/// Writes rows [n, d] as the index file `path`: kind 0 IndexFlatIP, 1 IndexHNSWFlat of inner products. 0, or 1 with the
/// reason in `problem` (at most `room` bytes with its zero).
[[gnu::visibility("default")]] int cllm4rec_faiss_write(const char* path, int kind, const float* rows, int64_t n,
                                                        int64_t d, char* problem, int64_t room);

/// The k best rows of the index file for each of b queries [b, d], best first: numbers [b, k] (-1: no more) and scores
/// [b, k].
[[gnu::visibility("default")]] int cllm4rec_faiss_search(const char* path, const float* queries, int64_t b, int64_t d,
                                                         int64_t k, int64_t* numbers, float* scores, char* problem,
                                                         int64_t room);
}
