// Latency and throughput of libcllm4rec_recommend: one question at a time, several askers at once, and large batches.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "launch/serving/cllm4rec_recommend.h"

namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Every asker asks its questions one after the other.
void measure(cllm4rec::Recommender& run, const std::vector<cllm4rec::Question>& questions, size_t askers,
             size_t at_once, const char* what) {
  std::vector<std::vector<double>> seconds(askers);
  const size_t of_each = questions.size() / askers;
  const double begin = now_s();
  std::vector<std::thread> threads;
  for (size_t a = 0; a < askers; ++a) {
    threads.emplace_back([&, a] {
      for (size_t first = a * of_each; first + at_once <= (a + 1) * of_each; first += at_once) {
        const auto from = questions.begin() + static_cast<std::ptrdiff_t>(first);
        const double start = now_s();
        run.answer({from, from + static_cast<std::ptrdiff_t>(at_once)}, 20);
        seconds[a].push_back(now_s() - start);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took = now_s() - begin;
  std::vector<double> all;
  for (const auto& some : seconds) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) {
    return 1e3 * all[static_cast<size_t>(share * static_cast<double>(all.size() - 1))];
  };
  std::printf("%-28s p50 %9.2f ms   p99 %9.2f ms   %9.1f users/s\n", what, at(0.5), at(0.99),
              static_cast<double>(all.size() * at_once) / took);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: serve_bench RUN USERS-FILE [questions] [threads]\n");
    return 64;
  }
  try {
    const size_t count = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 512;
    cllm4rec::Options options;
    options.threads = argc > 4 ? std::atoi(argv[4]) : 2;
    cllm4rec::Recommender run(argv[1], options);
    std::vector<cllm4rec::Question> questions;
    std::ifstream users(argv[2]);
    for (std::string user; questions.size() < count && std::getline(users, user);) questions.push_back({user, {}});
    run.answer({questions.begin(), questions.begin() + 1}, 20);  // the first call makes what the others share
    measure(run, questions, 1, 1, "1 asker, 1 user a call");
    measure(run, questions, 8, 1, "8 askers, 1 user a call");
    measure(run, questions, 1, std::min<size_t>(64, questions.size()), "1 asker, 64 users a call");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
