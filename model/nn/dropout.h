#pragma once

#include <ATen/core/Tensor.h>

#include <cmath>
#include <cstdint>

#include "data/random.h"

namespace cllm {

/// Dropout at one place of the network; off by default.
struct DropoutSite {
  at::Tensor keys_T;  // int64 [T] of the tokens that pass here; undefined: off
  double rate = 0;
  uint64_t salt = 0;  // separates the draws of this place from those of others

  bool active() const { return keys_T.defined() && rate > 0; }
};

/// Counter-based mask: whether an element survives is a function of (token key, salt, group, column) alone. So it is
/// the same for any world size, needs no memory, and backward computes it again. `group` is the head in attention, 0
/// elsewhere.
class DropoutMask {
 public:
  /// A mask that keeps everything.
  DropoutMask() = default;
  /// The keys must be on the CPU and outlive the mask.
  explicit DropoutMask(const DropoutSite& site)
      : keys_(site.active() ? site.keys_T.const_data_ptr<int64_t>() : nullptr), salt_(mix64(site.salt)),
        threshold_(static_cast<uint32_t>(std::ldexp(site.rate, 32))), scale_(1.0 / (1.0 - site.rate)) {}

  bool active() const { return keys_ != nullptr; }
  double scale() const { return scale_; }

  /// Mask of one token.
  class Row {
   public:
    Row(uint64_t key, uint32_t threshold)
        : low_(static_cast<uint32_t>(key)), high_(static_cast<uint32_t>(key >> 32)), threshold_(threshold) {}
    /// 32-bit multiply-xorshift hash; the two key halves enter before different rounds, so equal low halves do not
    /// repeat a mask.
    [[gnu::always_inline]] bool keeps(uint32_t column) const {
      uint32_t x = column * 0x9E3779B9U + low_;
      x = (x ^ (x >> 16)) * 0x7FEB352DU + high_;
      x = (x ^ (x >> 15)) * 0x846CA68BU;
      return (x ^ (x >> 16)) >= threshold_;
    }

   private:
    uint32_t low_, high_, threshold_;
  };
  Row row(int64_t token, uint64_t group = 0) const {
    return {mix64((static_cast<uint64_t>(keys_[token]) ^ salt_) + group), threshold_};
  }

 private:
  const int64_t* keys_ = nullptr;
  uint64_t salt_ = 0;
  uint32_t threshold_ = 0;
  double scale_ = 1;
};

/// x with elements dropped and the rest scaled by 1 / (1 - rate); x itself if the site is off. Differentiable.
at::Tensor dropout(const at::Tensor& x_TD, const DropoutSite& site);

}  // namespace cllm
