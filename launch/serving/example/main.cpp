// Lists from within a program: cllm4rec_example RUN USER..., or RUN --history ITEM... for somebody whom no corpus has.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "launch/serving/cllm4rec_recommend.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: cllm4rec_example RUN USER... | RUN --history ITEM...\n");
    return 64;
  }
  try {
    cllm4rec::Recommender run(argv[1]);
    const std::vector<std::string> words(argv + 2, argv + argc);
    std::vector<cllm4rec::Question> questions;
    if (words[0] == "--history") {
      questions.push_back({"somebody", {words.begin() + 1, words.end()}});
    } else {
      for (const std::string& user : words) questions.push_back({user});
    }
    const auto answers = run.answer(questions, 10);
    for (size_t n = 0; n < answers.size(); ++n) {
      std::printf("%s:%s\n", questions[n].user.c_str(), answers[n].problem.c_str());
      for (const cllm4rec::Item& item : answers[n].items) std::printf("  %s  %.6f\n", item.id.c_str(), item.score);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
