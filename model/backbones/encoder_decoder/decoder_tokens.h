#pragma once

// Letters: B sequences, T tokens; e and d tokens of the encoder and of the decoder, A outputs, n tokens of a sequence.

#include "model/backbones/encoder_decoder/t5_config.h"
#include "model/nn/packed_layout.h"

namespace cllm {

/// Packed sequences of a prompt and a main text, split for an encoder that reads the prompts and a decoder that reads a
/// start word and the main texts.
struct DecoderTokens {
  /// ModelError if a prompt is empty or the layout does not say where prompts end.
  explicit DecoderTokens(const PackedLayout& layout);

  PackedLayout encoder, decoder;  // with the dropout keys of the tokens; of the start word: of the prompt's last token
  at::Tensor encoder_rows_e;      // int64: rows of x [T, D] that the encoder reads
  at::Tensor decoder_rows_d;      // int64: rows that the decoder reads; T: the start word
  at::Tensor outputs_A;           // int64: decoder tokens of layout.output_rows_A
};

/// Buckets of the distances of all pairs of n positions, int64 [n, n] (query, key).
at::Tensor relative_buckets(const T5Config& config, int64_t n, bool both_ways);

}  // namespace cllm
