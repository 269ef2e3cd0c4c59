#pragma once

#include <string>

#include "data/corpus/corpus.h"
#include "data/ingest/prepare.h"
#include "data/text/tokenizer.h"
#include "tests/data/text/shared_files.h"

namespace cllm::testing {

constexpr int kSmallUsers = 43, kSmallItems = 30;

/// 43 users x 30 items, histories of 1 to 12 training items, one test item each; users 5 and 17 have the test item
/// only. Texts: a biography per user, a text per item, a review of every user's first training item.
class SmallCorpus {
 public:
  SmallCorpus() : corpus_(make()) {}
  const Corpus& corpus() const { return corpus_; }
  static Tokenizer tokenizer() { return Tokenizer::load(shared("backbones/gpt2-mini-8k")); }

 private:
  Corpus make() {
    std::string users, items, interactions = "user\titem\ttime\n", texts, parts = "user\titem\tpart\n";
    for (int j = 0; j < kSmallItems; ++j)
      items += std::to_string(j) + "\ta thing of colour " + std::string(static_cast<size_t>(j % 9), 'x') + " x\n";
    for (int i = 0; i < kSmallUsers; ++i) {
      const std::string user = std::to_string(i);
      users += user + "\tlikes number " + user + "\n";
      const int train = i == 5 || i == 17 ? 0 : 1 + i % 12;
      for (int k = 0; k <= train; ++k) {
        const std::string item = std::to_string((7 * i + k) % kSmallItems);
        interactions += user + "\t" + item + "\t" + std::to_string(k) + "\n";
        parts += user + "\t" + item + (k < train ? "\ttrain\n" : "\ttest\n");
      }
      if (train > 0) texts += user + "\t" + std::to_string(7 * i % kSmallItems) + "\tgood value, user " + user + "\n";
    }
    folder_.write("users.tsv", users);
    folder_.write("items.tsv", items);
    folder_.write("interactions.tsv", interactions);
    folder_.write("texts.tsv", texts);
    PrepareOptions options;
    options.input = folder_.path();
    options.output = folder_.path() / "corpus";
    options.split = SplitMethod::kFile;
    options.split_file = folder_.write("split.tsv", parts);
    options.tokenizer = shared("backbones/gpt2-mini-8k");
    options.threads = 1;
    prepare(options);
    return Corpus::open(options.output);
  }

  TemporaryFolder folder_;
  Corpus corpus_;
};

}  // namespace cllm::testing
