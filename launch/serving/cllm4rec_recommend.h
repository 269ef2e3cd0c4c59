#pragma once

// Lists of a trained run from within another program: include this file, link libcllm4rec_recommend.so. C++17.

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace cllm4rec {

struct Options {
  std::string corpus, backbone;  // where they are, if they were moved; "": as the run knows them
  int threads = 0;               // of the computation; 0: all cores
  size_t most_at_once = 64;      // questions that are computed together
};

/// One list that is asked for.
struct Question {
  std::string user;                       // raw id of a user of the corpus; not looked at if there is a history
  std::vector<std::string> history = {};  // raw ids of items, oldest first: of a user that the corpus need not have
};

struct Item {
  std::string id;  // raw
  double score;
};

/// Best first, without what the user had already. Empty with a `problem` if the user is not in the corpus, or no item
/// of the history is, or the model gives no lists to users that the corpus has not.
struct Answer {
  std::vector<Item> items;
  size_t unknown_items = 0;  // of the history: left out
  std::string problem;
};

/// A run opened for lists: its best state, on the CPU. Answers are those of `cllm4rec recommend`.
class Recommender {
 public:
  /// `run`: the folder that `cllm4rec train` wrote. std::runtime_error with one line: what, where, what to do.
  explicit Recommender(const std::string& run, const Options& options = {});
  ~Recommender();  // no call may be under way
  Recommender(const Recommender&) = delete;
  Recommender& operator=(const Recommender&) = delete;

  /// Lists of at most k items, in the order of the questions. Thread-safe: what several threads ask at the same time is
  /// computed together. std::runtime_error if the computation fails.
  std::vector<Answer> answer(const std::vector<Question>& questions, size_t k = 20);

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace cllm4rec
