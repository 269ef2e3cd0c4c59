#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <unordered_set>

#include "launch/commands/run_use.h"
#include "launch/serving/cllm4rec_recommend.h"
#include "model/evaluation/queries.h"

namespace cllm4rec {
namespace {

/// MPI begins with the first run that is opened and ends with the process: it cannot begin twice.
cllm::MpiSession& mpi() {
  static cllm::MpiSession session(nullptr, nullptr);
  return session;
}

/// One call of answer().
struct Asked {
  std::vector<cllm::RankingQuery> queries;  // of the questions that can be answered
  int64_t k;
  std::promise<std::vector<std::vector<cllm::ScoredItem>>> lists;
};

}  // namespace

/// Its thread computes alone, so that the model needs no locks and the threads of libtorch belong to it.
class Recommender::Worker {
 public:
  Worker(const std::string& run, const Options& options) : most_at_once_(std::max<size_t>(1, options.most_at_once)) {
    std::promise<void> opened;
    std::future<void> is_open = opened.get_future();
    thread_ = std::thread([this, run, options, &opened] {
      try {
        open(run, options);
      } catch (const std::exception& error) {
        opened.set_exception(std::make_exception_ptr(std::runtime_error(error.what())));
        run_.reset();
        return;
      }
      opened.set_value();
      serve();
    });
    try {
      is_open.get();
    } catch (...) {
      thread_.join();
      throw;
    }
  }
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

  std::vector<Answer> answer(const std::vector<Question>& questions, size_t k) {
    std::vector<Answer> answers(questions.size());
    auto asked = std::make_shared<Asked>();
    asked->k = static_cast<int64_t>(k);
    std::vector<size_t> places;
    for (size_t n = 0; n < questions.size(); ++n) {
      auto query = query_of(questions[n], answers[n]);
      if (!answers[n].problem.empty()) continue;
      asked->queries.push_back(std::move(query));
      places.push_back(n);
    }
    if (places.empty() || k == 0) return answers;
    auto lists = asked->lists.get_future();
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(asked);
    }
    changed_.notify_one();
    const auto ranked = lists.get();
    for (size_t n = 0; n < places.size(); ++n) {
      for (const cllm::ScoredItem& scored : ranked[n])
        answers[places[n]].items.push_back({std::string(corpus().item_raw_id(scored.item)), scored.score});
    }
    return answers;
  }

 private:
  void open(const std::string& dir, const Options& options) {
    cllm::RunArguments arguments{.dir = dir, .device = "cpu", .moved = {options.corpus, options.backbone}};
    run_ = std::make_unique<cllm::OpenRun>(cllm::open_run(mpi(), arguments, options.threads));
    cllm::require_ranking(*run_->workspace);
    why_no_fold_in_ = run_->workspace->model->why_no_fold_in();
  }
  const cllm::Corpus& corpus() const { return run_->workspace->corpus; }

  cllm::RankingQuery query_of(const Question& question, Answer& answer) const {
    if (question.history.empty()) {
      const auto user = corpus().find_user(question.user);
      if (user) {
        const auto history = run_->workspace->config.evaluation.history_at_test;
        return cllm::make_query(corpus(), *user, history, cllm::Mask::kEverything);
      }
      answer.problem = "user \"" + question.user + "\" is not in the corpus: ask by a history";
      return {};
    }
    if (!why_no_fold_in_.empty()) {
      answer.problem = "the run " + why_no_fold_in_;
      return {};
    }
    cllm::RankingQuery query;
    std::unordered_set<int64_t> seen;
    for (const std::string& id : question.history) {
      const auto item = corpus().find_item(id);
      if (!item) ++answer.unknown_items;
      if (item && seen.insert(*item).second) query.history.push_back(static_cast<int32_t>(*item));
    }
    if (query.history.empty()) answer.problem = "no item of the history is in the corpus";
    query.masked = query.history;
    std::sort(query.masked.begin(), query.masked.end());
    return query;
  }

  void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return ended_ || !waiting_.empty(); });
      if (waiting_.empty()) break;
      std::deque<std::shared_ptr<Asked>> together = std::move(waiting_);
      waiting_.clear();
      lock.unlock();
      compute(together);
      lock.lock();
    }
    lock.unlock();
    run_.reset();
  }

  /// All questions of these calls, in blocks; a list of the longest length begins with the shorter one.
  void compute(const std::deque<std::shared_ptr<Asked>>& together) {
    std::vector<cllm::RankingQuery> queries;
    int64_t k = 0;
    for (const auto& asked : together) {
      queries.insert(queries.end(), asked->queries.begin(), asked->queries.end());
      k = std::max(k, asked->k);
    }
    std::vector<std::vector<cllm::ScoredItem>> lists;
    std::exception_ptr failure;
    try {
      for (size_t first = 0; first < queries.size(); first += most_at_once_) {
        const auto block = std::span(queries).subspan(first, std::min(most_at_once_, queries.size() - first));
        for (auto& list : run_->workspace->model->top_items(block, k)) lists.push_back(std::move(list));
      }
    } catch (const std::exception& error) {
      failure = std::make_exception_ptr(std::runtime_error(error.what()));
    }
    auto next = lists.begin();
    for (const auto& asked : together) {
      if (failure) {
        asked->lists.set_exception(failure);
        continue;
      }
      std::vector<std::vector<cllm::ScoredItem>> own(std::make_move_iterator(next),
                                                     std::make_move_iterator(next + std::ssize(asked->queries)));
      next += std::ssize(asked->queries);
      for (auto& list : own) list.resize(std::min(list.size(), static_cast<size_t>(asked->k)));
      asked->lists.set_value(std::move(own));
    }
  }

  size_t most_at_once_;
  std::unique_ptr<cllm::OpenRun> run_;  // opened, used and closed by the thread; its corpus is read by all
  std::string why_no_fold_in_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Asked>> waiting_;
  bool ended_ = false;
  std::thread thread_;
};

Recommender::Recommender(const std::string& run, const Options& options)
    : worker_(std::make_unique<Worker>(run, options)) {}
Recommender::~Recommender() = default;

std::vector<Answer> Recommender::answer(const std::vector<Question>& questions, size_t k) {
  return worker_->answer(questions, k);
}

}  // namespace cllm4rec
