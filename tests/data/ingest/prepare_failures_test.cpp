// What prepare leaves when it fails or is killed.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "data/ingest/prepare.h"
#include "tests/data/ingest/grid.h"
#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

using ::testing::HasSubstr;

TEST(Prepare, leaves_nothing_behind_when_it_fails_and_overwrites_only_if_told) {
  const Scratch scratch;
  write_grid(scratch, 5, 5);
  PrepareOptions options = scratch.options();
  prepare(options);
  const std::string fingerprint = Corpus::open(options.output).fingerprint();
  EXPECT_THAT(error_of([&] { prepare(options); }),
              HasSubstr("out: exists already; choose another name, or say --overwrite"));
  options.overwrite = true;
  options.output /= "";  // as a shell completes it
  prepare(options);
  scratch.write("interactions.tsv", "user\titem\ttime\nu0\ti1\tbad\n");
  error_of([&] { prepare(options); });
  EXPECT_EQ(Corpus::open(options.output, true).fingerprint(), fingerprint);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 2);  // in and out
}

TEST(Prepare, killed_in_any_phase_leaves_no_corpus) {
  const Scratch scratch;
  write_grid(scratch, 70, 70);  // enough rows for progress in every phase
  for (const std::string fatal : {"reading interactions", "filtering (passes)", "splitting", "writing users",
                                  "training the tokenizer", "tokenising"}) {
    PrepareOptions options = scratch.options();
    options.k_core = 2;
    options.progress = [&](const char* phase, uint64_t, uint64_t) {
      if (phase == fatal) ::raise(SIGKILL);
    };
    const pid_t child = ::fork();
    if (child == 0) {
      prepare(options);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << fatal;
    EXPECT_FALSE(std::filesystem::exists(options.output)) << fatal;
    const std::string staging = options.output.string() + ".tmp-" + std::to_string(child);
    EXPECT_THAT(error_of([&] { Corpus::open(staging); }), HasSubstr("no such file")) << fatal;
  }
  const PrepareReport report = prepare(scratch.options());
  EXPECT_EQ(report.notices.size(), 7u) << describe(report);  // the left-over folders are named; times are small
}

}  // namespace
}  // namespace cllm::testing
