#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/randint.h>

#include <array>

#include <gtest/gtest.h>

#include "model/nn/fused/gated.h"
#include "model/nn/fused/rms_norm.h"
#include "model/nn/fused/rotary.h"
#include "model/nn/heads/grouped_attention.h"
#include "tests/gpu/twins.h"

// The device's parts of a decoder's block against the CPU's, values and gradients: without rows, one row, rows that are
// no whole words, that are wider than a block of threads, and several rows to a block.

namespace cllm::decoder_blocks_tests {
namespace {

using namespace test;
using Inputs = std::vector<at::Tensor>;

struct Shape {
  int64_t num_rows, width;
};

/// In the form of the device that the inputs are on.
DropoutSite on_device_of(const at::Tensor& like, DropoutSite site) {
  if (site.active()) site.keys_T = site.keys_T.to(like.device());
  return site;
}

TEST(DecoderBlocksOnDevice, AddAndRmsNormIsTheCpuTwins) {
  for (const auto& [compute, residual, tolerance] : kPrecisions) {
    for (const auto& [T, D] : {Shape{0, 8}, {1, 8}, {16, 24}, {5, 37}, {130, 33}, {3, 3001}, {2, 8200}}) {
      for (const bool post : {false, true}) {
        SCOPED_TRACE(::testing::Message() << compute << " " << T << " x " << D << " post " << post);
        const DropoutSite site{at::randint(INT64_MAX, {T}, at::kLong), D % 8 == 0 ? 0.3 : 0.0, 9};
        Inputs inputs{random({T, D}, residual), random({T, D}, compute), random({D}, residual)};
        if (post) inputs.push_back(random({D}, residual));
        const auto both = [&, offset = post](const Inputs& in) {
          const RmsNorm before = post ? RmsNorm{in[3], 1e-5, offset} : RmsNorm{};
          const auto [sum, normed] =
              add_and_rms_norm(in[0], in[1], before, {in[2], 1e-6, offset}, on_device_of(in[0], site));
          return at::cat({sum, normed});
        };
        expect_twins(inputs, tolerance, both, both);
      }
    }
  }
}

TEST(DecoderBlocksOnDevice, TheGradientOfOneOutputAloneIsTheCpuTwins) {
  for (const auto& [compute, residual, tolerance] : kPrecisions) {
    const Inputs inputs{random({5, 40}, residual), random({5, 40}, compute), random({40}, residual),
                        random({40}, residual)};
    const auto one = [](bool first) {
      return [first](const Inputs& in) {
        const auto [sum, normed] = add_and_rms_norm(in[0], in[1], {in[2], 1e-5}, {in[3], 1e-5}, {});
        return first ? sum + in[3] * 0 : normed;
      };
    };
    for (const bool first : {false, true}) expect_twins(inputs, tolerance, one(first), one(first));
  }
}

TEST(DecoderBlocksOnDevice, RmsNormOfAnyShapeIsTheCpuTwins) {
  for (const auto& precision : kPrecisions) {
    const auto norm = [&](const Inputs& in) { return rms_norm(in[0], {in[1], 1e-5, true}, precision.compute); };
    expect_twins({random({3, 4, 40}, precision.residual), random({40}, precision.residual)}, precision.tolerance, norm,
                 norm);
  }
}

TEST(DecoderBlocksOnDevice, NormAndRotationAreTheCpuTwins) {
  for (const auto& [compute, residual, tolerance] : kPrecisions) {
    for (const auto& [T, h] : {Shape{0, 16}, {1, 16}, {11, 64}, {100, 6}, {3, 10}, {2, 256}, {2, 600}}) {
      const at::Tensor angles = random({T, h / 2}, residual);
      const auto rotate = [&](const Inputs& in, const RmsNorm& norm) {
        const at::Tensor there = angles.to(in[0].device());
        return norm_and_rotate(in[0], norm, {there.cos(), there.sin()});
      };
      SCOPED_TRACE(::testing::Message() << compute << " " << T << " x " << h);
      const auto bare = [&](const Inputs& in) { return rotate(in, {}); };
      expect_twins({random({T, 3 * h}, compute)}, tolerance, bare, bare);
      const auto normed = [&](const Inputs& in) { return rotate(in, {in[1], 1e-6, T % 2 == 1}); };
      expect_twins({random({T, 3 * h}, compute), random({h}, residual)}, tolerance, normed, normed);
    }
  }
}

TEST(DecoderBlocksOnDevice, GatedIsTheCpuTwins) {
  for (const auto& precision : kPrecisions) {
    for (const auto& [T, F] : {Shape{0, 8}, {1, 8}, {7, 33}, {40, 60}, {1, 5001}}) {
      // From far below to far above zero, where the exponential is cut.
      const at::Tensor gate = at::linspace(-120, 120, T * F, at::kDouble).view({T, F}).to(precision.compute);
      for (const Gate kind : {Gate::kSilu, Gate::kGeluTanh}) {
        SCOPED_TRACE(::testing::Message() << precision.compute << " " << T << " x " << F);
        const auto gate_by = [&](const Inputs& in) { return gated(in[0], in[1], kind); };
        expect_twins({gate, random({T, F}, precision.compute)}, precision.tolerance, gate_by, gate_by);
      }
    }
  }
}

/// In bf16 flash attention may round probabilities too.
void expect_attention_twins(const std::vector<int64_t>& lengths, const GroupedHeads& heads) {
  const int64_t T = make_layout(lengths, at::kCPU).num_tokens();
  for (const auto& precision : kPrecisions) {
    SCOPED_TRACE(::testing::Message() << precision.compute << " " << T << " tokens, " << heads.num_heads << " heads to "
                                      << heads.num_kv_heads << " of " << heads.head_width << ", window "
                                      << heads.window);
    const auto of = [&](int64_t count) { return random({T, count * heads.head_width}, precision.compute); };
    const auto attend = [&](const Inputs& in) {
      return grouped_attention(in[0], in[1], in[2], make_layout(lengths, in[0].device()), heads);
    };
    expect_twins({of(heads.num_heads), of(heads.num_kv_heads), of(heads.num_kv_heads)},
                 precision.compute == at::kBFloat16 ? 2e-2 : precision.tolerance, attend, attend);
  }
}

TEST(DecoderBlocksOnDevice, GroupedAttentionIsTheCpuTwinsForEveryGroupingWidthAndWindow) {
  for (const auto& [heads, kv_heads, width] : {std::array<int64_t, 3>{4, 1, 8}, {4, 2, 16}, {3, 3, 12}, {2, 1, 256}}) {
    for (const int64_t window : {0, 1, 5, 500}) {
      expect_attention_twins({1, 7, 40, 3}, {heads, kv_heads, width, 0.3, window});
    }
  }
  expect_attention_twins({1}, {4, 2, 16, 0.3});
  expect_attention_twins({}, {4, 2, 16, 0.3});
}

TEST(DecoderBlocksOnDevice, RowsThatBeginInTheMiddleOfAWordAreRead) {
  const at::Tensor x = to_device(random({65}, at::kFloat)), up = to_device(random({64}, at::kFloat));
  const at::Tensor shifted = x.narrow(0, 1, 64).view({8, 8});
  EXPECT_TRUE(
      same_bits(gated(shifted, up.view({8, 8}), Gate::kSilu), gated(shifted.clone(), up.view({8, 8}), Gate::kSilu)));
  const at::Tensor weight = to_device(random({8}));
  EXPECT_LT(relative_error(rms_norm(shifted, {weight, 1e-6}, at::kBFloat16),
                           rms_norm(shifted.clone(), {weight, 1e-6}, at::kBFloat16)),
            4e-3);
}

}  // namespace
}  // namespace cllm::decoder_blocks_tests
