#pragma once

#include <string>

#include "data/corpus/corpus.h"
#include "data/ingest/prepare.h"
#include "data/random.h"
#include "model/evaluation/scorer.h"
#include "tests/data/text/shared_files.h"

namespace cllm::testing {

/// 60 users x 80 items: user i has 11 i mod 61 training items (0 to 60), i mod 3 of validation and i mod 4 of test.
class KnownCorpus {
 public:
  static constexpr int kUsers = 60, kItems = 80;
  static int train_of(int user) { return user * 11 % 61; }
  static int validation_of(int user) { return user % 3; }
  static int test_of(int user) { return user % 4; }

  KnownCorpus() : corpus_(make()) {}
  const Corpus& corpus() const { return corpus_; }

 private:
  Corpus make() {
    std::string users, items, interactions = "user\titem\ttime\n", parts = "user\titem\tpart\n";
    for (int j = 0; j < kItems; ++j) items += "i" + std::to_string(j) + "\ta thing\n";
    for (int i = 0; i < kUsers; ++i) {
      const std::string user = "u" + std::to_string(i);
      users += user + "\tsomebody\n";
      const int train = train_of(i), known = train + validation_of(i);
      for (int n = 0; n < known + test_of(i); ++n) {
        const std::string item = "i" + std::to_string((7 * i + n) % kItems);
        interactions += user + "\t" + item + "\t" + std::to_string(n) + "\n";
        parts += user + "\t" + item + (n < train ? "\ttrain\n" : n < known ? "\tvalidation\n" : "\ttest\n");
      }
    }
    folder_.write("users.tsv", users);
    folder_.write("items.tsv", items);
    folder_.write("interactions.tsv", interactions);
    PrepareOptions options;
    options.input = folder_.path();
    options.output = folder_.path() / "corpus";
    options.split = SplitMethod::kFile;
    options.split_file = folder_.write("split.tsv", parts);
    options.train_tokenizer = 257;
    options.seed = 5;
    options.threads = 1;
    prepare(options);
    return Corpus::open(options.output);
  }

  TemporaryFolder folder_;
  Corpus corpus_;
};

/// Scores that are a pure function of the user, the item and the length of what is fed.
class HashScorer : public Scorer {
 public:
  explicit HashScorer(int64_t num_items = KnownCorpus::kItems) : num_items_(num_items) {}

  static double score(const RankingQuery& query, int64_t item) {
    return static_cast<double>(mix64(static_cast<uint64_t>(query.user * 1000 + item) + query.history.size()) >> 20);
  }
  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override {
    blocks.push_back(queries.size());
    std::vector<std::vector<ScoredItem>> out;
    for (const RankingQuery& query : queries) {
      asked.push_back(query);
      std::vector<double> scores;
      for (int64_t item = 0; item < num_items_; ++item) scores.push_back(score(query, item));
      TopK best(k);
      best.add<double>(scores, query.masked);
      out.push_back(best.take());
    }
    return out;
  }

  std::vector<size_t> blocks;       // queries of every call
  std::vector<RankingQuery> asked;  // all of them

 private:
  int64_t num_items_;
};

}  // namespace cllm::testing
