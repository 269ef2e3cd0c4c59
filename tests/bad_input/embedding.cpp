#include <filesystem>
#include <stdexcept>

#include "tests/bad_input/bad_input.h"

namespace cllm::testing {
namespace {

const std::string kEmbed = "embed corpus --backbone backbone --output out.safetensors ";

/// A home-made backbone has its tokenizer in the corpus.
void put_tokenizer_into_backbone() {
  std::filesystem::copy("corpus/tokenizer", "backbone", std::filesystem::copy_options::recursive);
}

/// A corpus of interactions alone.
void prepare_without_texts() {
  put_tokenizer_into_backbone();
  std::string rows = "user\titem\n";
  for (int user = 0; user < 4; ++user) {
    for (int item = 0; item < 4; ++item) rows += "u" + std::to_string(user) + "\ti" + std::to_string(item) + "\n";
  }
  write("bare/interactions.tsv", rows);
  if (run_here("prepare --input bare --output textless --tokenizer corpus/tokenizer").code != 0)
    throw std::runtime_error("a corpus without texts cannot be made");
}

}  // namespace

Rows bad_embeddings() {
  return {
      {"embed_no_backbone",
       nothing,
       "embed corpus --backbone nowhere --output out.safetensors",
       65,
       {"nowhere", "tokenizer.json"}},
      {"embed_no_corpus", nothing, "embed nowhere --backbone backbone --output out.safetensors", 65, {"nowhere"}},
      {"embed_corpus_without_texts",
       prepare_without_texts,
       "embed textless --backbone backbone --output out.safetensors",
       65,
       {"textless: no user or item has texts", "items.csv"}},
      {"embed_layer_beyond_the_last",
       put_tokenizer_into_backbone,
       kEmbed + "--layer 9",
       65,
       {"--layer 9", "the backbone has 1"}},
      {"embed_negative_layer", nothing, kEmbed + "--layer -2", 64, {"--layer"}},
      {"embed_unknown_pool", nothing, kEmbed + "--pool max", 64, {"--pool", "max", "{mean,last}"}},
      {"embed_unknown_precision", nothing, kEmbed + "--precision fp8", 64, {"--precision", "fp8"}},
      {"embed_into_another_format",
       nothing,
       "embed corpus --backbone backbone --output out.npy",
       64,
       {"--output out.npy", "NAME.safetensors"}},
      {"embed_output_exists",
       [] { write("out.safetensors", "x"); },
       kEmbed,
       64,
       {"out.safetensors exists already", "--overwrite"}},
      {"embed_onto_its_backbone",
       nothing,
       "embed corpus --backbone backbone --output backbone/model.safetensors --overwrite",
       64,
       {"backbone/model.safetensors is read, or a part of what is: choose another --output"}},
      {"embed_weights_cut",
       [] {
         put_tokenizer_into_backbone();
         truncate("backbone/model.safetensors", 2000);
       },
       kEmbed,
       65,
       {"backbone/model.safetensors"}},
  };
}

}  // namespace cllm::testing
