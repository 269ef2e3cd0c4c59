#include "data/corpus/inspect.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/random.h"
#include "data/text/tokenizer.h"

namespace cllm {
namespace {

std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string row(const std::string& name, const std::string& value) {
  return "  " + name + std::string(name.size() < 18 ? 18 - name.size() : 1, ' ') + value + "\n";
}

/// min, quartiles, 95 %, max and mean of lengths, by a histogram: memory is bounded by the distinct lengths.
class Lengths {
 public:
  void add(int64_t length) {
    ++histogram_[length];
    ++count_;
    sum_ += length;
  }
  std::string text() const {
    if (count_ == 0) return "none";
    char mean[32];
    std::snprintf(mean, sizeof mean, "%.1f", static_cast<double>(sum_) / static_cast<double>(count_));
    std::string out = "mean " + std::string(mean) + "; min " + std::to_string(histogram_.begin()->first);
    for (const auto& [name, share] :
         {std::pair{", 25 % ", 0.25}, {", median ", 0.5}, {", 75 % ", 0.75}, {", 95 % ", 0.95}}) {
      out += name + std::to_string(quantile(share));
    }
    return out + ", max " + std::to_string(histogram_.rbegin()->first);
  }

 private:
  /// The smallest length that at least this share of the rows does not exceed.
  int64_t quantile(double share) const {
    int64_t seen = 0;
    for (const auto& [length, count] : histogram_) {
      seen += count;
      if (static_cast<double>(seen) >= share * static_cast<double>(count_)) return length;
    }
    return histogram_.rbegin()->first;
  }
  std::map<int64_t, int64_t> histogram_;
  int64_t count_ = 0, sum_ = 0;
};

std::string describe_histories(const Corpus& corpus) {
  if (corpus.version() == 1) return "by ascending id (format version 1)";
  return std::string(corpus.has_times() ? "in time order, with times" : "in the order of the input, without times") +
         (corpus.has_ratings() ? " and ratings" : "");
}

/// Nothing, if the corpus grew from none.
std::string describe_growth(const Corpus& corpus) {
  if (corpus.ancestors().empty()) return "";
  const Ancestor& before = corpus.ancestors()[0];
  int64_t users = 0, items = 0;
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
    users += corpus.num_new(user) > 0 ? 1 : 0;
    items += corpus.num_new(user);
  }
  return row("extends", before.fingerprint + " of " + grouped(before.users) + " users and " + grouped(before.items) +
                            " items; " + grouped(items) + " training interactions of " + grouped(users) +
                            " users are new");
}

std::string describe_counts(const Corpus& corpus) {
  const Vocabulary& vocabulary = corpus.vocabulary();
  int64_t total = 0;
  std::string parts;
  for (int part = 0; part < kNumParts; ++part) {
    const int64_t count = corpus.num_interactions(static_cast<Part>(part));
    total += count;
    parts += (part > 0 ? ", " : "") + grouped(count) + " " + std::string(kPartNames[part]);
  }
  const double cells = static_cast<double>(vocabulary.num_users) * static_cast<double>(vocabulary.num_items);
  char density[32];
  std::snprintf(density, sizeof density, "%.4f %%", cells > 0 ? 100.0 * static_cast<double>(total) / cells : 0.0);
  return row("users", grouped(vocabulary.num_users)) + row("items", grouped(vocabulary.num_items)) +
         row("interactions", grouped(total) + " (" + parts + ")") + row("density", density) +
         row("histories", describe_histories(corpus)) + describe_growth(corpus) +
         row("words", grouped(vocabulary.num_words) + " (tokenizer " + corpus.tokenizer_fingerprint() + ")") +
         row("texts", grouped(corpus.num_texts()) + " with " + grouped(corpus.num_text_tokens()) + " tokens");
}

std::string describe_lengths(const Corpus& corpus) {
  std::string out;
  for (int part = 0; part < kNumParts; ++part) {
    Lengths lengths;
    for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user)
      lengths.add(corpus.num_items(user, static_cast<Part>(part)));
    out += row(std::string(kPartNames[part]) + " per user", lengths.text());
  }
  std::vector<Lengths> by_kind(corpus.text_kinds().size());
  for (int64_t n = 0; n < corpus.num_texts(); ++n)
    by_kind[static_cast<size_t>(corpus.text(n).kind)].add(corpus.text_length(n));
  for (size_t kind = 0; kind < by_kind.size(); ++kind)
    out += row("tokens, " + corpus.text_kinds()[kind], by_kind[kind].text());
  return out;
}

std::string describe_options(const Corpus& corpus) {
  const auto manifest = nlohmann::ordered_json::parse(corpus.manifest());
  std::string out = row("fingerprint", corpus.fingerprint());
  for (const char* section : {"options", "report"}) {
    for (const auto& [key, value] : manifest.at(section).items()) {
      if (!value.is_array() && !value.is_null() && value != 0) out += row(key, value.dump());
    }
    for (const auto& file : manifest.at(section).value("input", nlohmann::ordered_json::array()))
      out += row("input", file.dump());
    for (const auto& bad : manifest.at(section).value("bad_rows", nlohmann::ordered_json::array()))
      out += row("bad rows", bad.dump());
  }
  return out;
}

std::string describe_user(const Corpus& corpus, int64_t user) {
  constexpr size_t kItems = 8;
  std::string out = "  user " + std::to_string(user) + " (" + std::string(corpus.user_raw_id(user)) + ")";
  for (int part = 0; part < kNumParts; ++part) {
    const auto items = corpus.history(user, static_cast<Part>(part));
    out += std::string(part == 0 ? ": " : "; ") + std::string(kPartNames[part]);
    for (size_t n = 0; n < std::min(items.size(), kItems); ++n) out.append(" ").append(corpus.item_raw_id(items[n]));
    if (items.size() > kItems) out += " ... (" + std::to_string(items.size()) + ")";
  }
  return out + "\n";
}

std::string describe_text(const Corpus& corpus, const Tokenizer& tokenizer, int64_t n, int64_t max_tokens) {
  const TextSample text = corpus.text(n);
  const auto shown = text.tokens.first(std::min(text.tokens.size(), static_cast<size_t>(max_tokens)));
  std::string decoded = tokenizer.decode(shown);
  std::replace_if(
      decoded.begin(), decoded.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  std::string out = "  text " + std::to_string(n) + " (" + corpus.text_kinds()[static_cast<size_t>(text.kind)];
  if (text.user >= 0) out += ", user " + std::string(corpus.user_raw_id(text.user));
  if (text.item >= 0) out += ", item " + std::string(corpus.item_raw_id(text.item));
  return out + "): " + decoded + (shown.size() < text.tokens.size() ? " ..." : "") + "\n";
}

}  // namespace

std::string describe(const Corpus& corpus, const InspectOptions& options) {
  std::string out = "corpus " + corpus.dir().string() + "\n" + describe_counts(corpus) + describe_lengths(corpus) +
                    describe_options(corpus);
  if (options.samples <= 0) return out;
  out += "samples\n";
  CounterRng rng(stream_key(options.seed, Purpose::kIngest));
  const auto draw = [&](int64_t bound) { return static_cast<int64_t>(rng.below(static_cast<uint64_t>(bound))); };
  for (int64_t n = 0; n < options.samples; ++n) out += describe_user(corpus, draw(corpus.vocabulary().num_users));
  if (corpus.num_texts() == 0) return out;
  const Tokenizer tokenizer = Tokenizer::load(corpus.tokenizer_dir());
  for (int64_t n = 0; n < options.samples; ++n)
    out += describe_text(corpus, tokenizer, draw(corpus.num_texts()), options.sample_tokens);
  return out;
}

}  // namespace cllm
