// Layouts: ggml-common.h and ggml-quants.c of llama.cpp. Letters: e place in the block, d scale, m minimum.

#include "model/backbones/gguf/blocks.h"

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <array>
#include <cstring>

namespace cllm {
namespace {

template <typename T>
T read(const uint8_t* bytes) {
  T out;
  std::memcpy(&out, bytes, sizeof out);
  return out;
}

float half(const uint8_t* bytes) {
  return static_cast<float>(c10::Half(read<uint16_t>(bytes), c10::Half::from_bits()));
}

int low(uint8_t byte) { return byte & 15; }
int high(uint8_t byte) { return byte >> 4; }

void f32(const uint8_t* block, float* out) { *out = read<float>(block); }
void f16(const uint8_t* block, float* out) { *out = half(block); }
void bf16(const uint8_t* block, float* out) {
  *out = static_cast<float>(c10::BFloat16(read<uint16_t>(block), c10::BFloat16::from_bits()));
}

/// The e-th of 32 values of four bits: the low halves of 16 bytes, then the high ones.
int nibble(const uint8_t* q, int e) { return e < 16 ? low(q[e]) : high(q[e - 16]); }

void q4_0(const uint8_t* block, float* out) {
  const float d = half(block);
  for (int e = 0; e < 32; ++e) out[e] = static_cast<float>(nibble(block + 2, e) - 8) * d;
}

void q4_1(const uint8_t* block, float* out) {
  const float d = half(block), m = half(block + 2);
  for (int e = 0; e < 32; ++e) out[e] = static_cast<float>(nibble(block + 4, e)) * d + m;
}

int five_bits(const uint8_t* high_bits, const uint8_t* q, int e) {
  return nibble(q, e) + 16 * static_cast<int>(read<uint32_t>(high_bits) >> e & 1);
}

void q5_0(const uint8_t* block, float* out) {
  const float d = half(block);
  for (int e = 0; e < 32; ++e) out[e] = static_cast<float>(five_bits(block + 2, block + 6, e) - 16) * d;
}

void q5_1(const uint8_t* block, float* out) {
  const float d = half(block), m = half(block + 2);
  for (int e = 0; e < 32; ++e) out[e] = static_cast<float>(five_bits(block + 4, block + 8, e)) * d + m;
}

void q8_0(const uint8_t* block, float* out) {
  const float d = half(block);
  for (int e = 0; e < 32; ++e) out[e] = static_cast<float>(static_cast<int8_t>(block[2 + e])) * d;
}

constexpr int kSuper = 256;  // values of a K block

/// Where value e of a K block lies: n = e / 128, g = (e % 128) / 32, l = e % 32.
struct Place {
  explicit Place(int e) : n(e / 128), g(e % 128 / 32), l(e % 32) {}
  int n, g, l;
};

void q2_k(const uint8_t* block, float* out) {
  const uint8_t *scales = block, *qs = block + 16;
  const float d = half(block + 80), dmin = half(block + 82);
  for (int e = 0; e < kSuper; ++e) {
    const Place p(e);
    const int q = qs[32 * p.n + p.l] >> 2 * p.g & 3;
    const uint8_t v = scales[e / 16];
    out[e] = d * static_cast<float>(low(v)) * static_cast<float>(q) - dmin * static_cast<float>(high(v));
  }
}

void q3_k(const uint8_t* block, float* out) {
  const uint8_t *hmask = block, *qs = block + 32, *s = block + 96;
  const float d = half(block + 108);
  const auto scale = [&](int j) {
    return (j < 8 ? low(s[j]) : high(s[j - 8])) + 16 * (s[8 + j % 4] >> 2 * (j / 4) & 3);
  };
  for (int e = 0; e < kSuper; ++e) {
    const Place p(e);
    const int q = (qs[32 * p.n + p.l] >> 2 * p.g & 3) - ((hmask[p.l] >> (4 * p.n + p.g) & 1) != 0 ? 0 : 4);
    out[e] = d * static_cast<float>(scale(e / 16) - 32) * static_cast<float>(q);
  }
}

/// The j-th of eight scales and minima of six bits.
struct ScaleAndMinimum {
  ScaleAndMinimum(const uint8_t* q, int j) {
    if (j < 4) {
      scale = static_cast<float>(q[j] & 63);
      minimum = static_cast<float>(q[j + 4] & 63);
    } else {
      scale = static_cast<float>(low(q[j + 4]) | q[j - 4] >> 6 << 4);
      minimum = static_cast<float>(high(q[j + 4]) | q[j] >> 6 << 4);
    }
  }
  float scale, minimum;
};

/// Q4_K; with `fifth`, the bits of Q5_K.
void q45_k(const uint8_t* block, const uint8_t* fifth, const uint8_t* qs, float* out) {
  const float d = half(block), dmin = half(block + 2);
  for (int e = 0; e < kSuper; ++e) {
    const int j = e / 32, l = e % 32;
    const uint8_t byte = qs[32 * (e / 64) + l];
    int q = j % 2 == 0 ? low(byte) : high(byte);
    if (fifth != nullptr) q += 16 * (fifth[l] >> j & 1);
    const ScaleAndMinimum s(block + 4, j);
    out[e] = d * s.scale * static_cast<float>(q) - dmin * s.minimum;
  }
}

void q4_k(const uint8_t* block, float* out) { q45_k(block, nullptr, block + 16, out); }
void q5_k(const uint8_t* block, float* out) { q45_k(block, block + 16, block + 48, out); }

void q6_k(const uint8_t* block, float* out) {
  const uint8_t *ql = block, *qh = block + 128, *sc = block + 192;
  const float d = half(block + 208);
  for (int e = 0; e < kSuper; ++e) {
    const Place p(e);
    const uint8_t byte = ql[64 * p.n + p.l + 32 * (p.g & 1)];
    const int q = (p.g < 2 ? low(byte) : high(byte)) + 16 * (qh[32 * p.n + p.l] >> 2 * p.g & 3) - 32;
    out[e] = d * static_cast<float>(static_cast<int8_t>(sc[e / 16])) * static_cast<float>(q);
  }
}

struct Numbered {
  uint32_t number;
  GgmlType type;
};
constexpr Numbered kTypes[] = {
    {0, {"F32", 1, 4, f32}},           {1, {"F16", 1, 2, f16}},           {30, {"BF16", 1, 2, bf16}},
    {2, {"Q4_0", 32, 18, q4_0}},       {3, {"Q4_1", 32, 20, q4_1}},       {6, {"Q5_0", 32, 22, q5_0}},
    {7, {"Q5_1", 32, 24, q5_1}},       {8, {"Q8_0", 32, 34, q8_0}},       {10, {"Q2_K", kSuper, 84, q2_k}},
    {11, {"Q3_K", kSuper, 110, q3_k}}, {12, {"Q4_K", kSuper, 144, q4_k}}, {13, {"Q5_K", kSuper, 176, q5_k}},
    {14, {"Q6_K", kSuper, 210, q6_k}}};

}  // namespace

const GgmlType* ggml_type(uint32_t number) {
  for (const Numbered& known : kTypes)
    if (known.number == number) return &known.type;
  return nullptr;
}

}  // namespace cllm
