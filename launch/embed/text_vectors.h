#pragma once

// Letters: n ids, D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/text/tokenizer.h"
#include "dist/communicator/communicator.h"
#include "model/backbones/backbone.h"

namespace cllm {

/// What of a text's states is its vector. kMean: the mean over its tokens, without what the tokenizer puts before a
/// text if a token sees those before it only; kLast: the last token's.
enum class Pool { kMean, kLast };

struct EmbedOptions {
  int64_t layer = -1;  // 0: word embeddings; k: behind block k; -1: behind the last one
  Pool pool = Pool::kMean;
  int64_t max_tokens = 512;  // of a text that are read, with those around it, and never more than the backbone has
};

/// Ids that have texts of their own (not of a pair), as they stood in the input, and their vectors, fp32 [n, D]: the
/// mean of those of their texts.
struct IdVectors {
  std::vector<std::string> raw_ids;
  at::Tensor vectors_nD;
};

struct TextVectorsOfCorpus {
  IdVectors users, items;
  int64_t num_texts = 0, num_cut = 0;
};

/// Reads the texts anew with the backbone's own tokenizer, each with what stands around a text there. Blocks of texts
/// are shared out to the ranks; rank 0 has the result, the others have none. The same bits for any number of ranks.
/// ModelError: a layer that is not there, a tokenizer of more words than the backbone has. DataError: a corpus without
/// raw texts (version 1), or without texts of ids. Collective.
TextVectorsOfCorpus embed_texts(const Corpus& corpus, const Tokenizer& tokenizer, const Backbone& backbone,
                                const EmbedOptions& options, Communicator& comm);

/// NAME.safetensors: the tensor `vectors` [n, D], F32, and beside it NAME.ids.txt: n lines, the raw id of each vector.
/// DataError for an id with a line break.
void write_vectors(const std::filesystem::path& path, const IdVectors& vectors);

}  // namespace cllm
