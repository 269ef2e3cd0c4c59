// Runs the table in one process by the program's own entry point, so that 150 rows take seconds; some rows also as real
// processes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <sstream>

#include "launch/commands/command_line.h"
#include "launch/failures/agree.h"
#include "launch/failures/exit_codes.h"
#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"
#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

MpiSession* mpi = nullptr;  // of main: one per process
const World* world = nullptr;

}  // namespace

/// As launch/main.cpp does.
Ended run_here(const std::string& arguments) {
  std::vector<std::string> words{"cllm4rec"};
  std::istringstream in(arguments);
  for (std::string word; in >> word;) words.push_back(word);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  Ended ended{kDone, ""};
  try {
    ended.code = run_command_line(*mpi, static_cast<int>(argv.size()), argv.data());
  } catch (const AgreedFailure& failure) {
    ended = {failure.exit_code(), failure.what()};
  } catch (...) {
    ended.code = exit_code_of(std::current_exception(), ended.line);
  }
  return ended;
}

const World& the_world() { return *world; }

namespace {

Rows all_rows() {
  Rows all;
  for (const Rows& rows : {bad_command_lines(), bad_configurations(), bad_interactions(), bad_corpora(),
                           bad_tokenizers(), bad_backbones(), bad_embeddings(), bad_runs()}) {
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

class Refused : public ::testing::TestWithParam<BadInput> {};

TEST_P(Refused, with_its_exit_code_and_one_clear_line) {
  const BadInput& row = GetParam();
  world->enter_copy(row.name);
  row.damage();
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const Ended ended = run_here(row.arguments);
  ::testing::internal::GetCapturedStdout();
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(ended.code, row.code) << ended.line << "\n" << log;
  EXPECT_THAT(ended.line, Not(HasSubstr("\n")));
  EXPECT_LE(ended.line.size(), 1000u);
  for (const std::string& piece : row.message) EXPECT_THAT(ended.line, HasSubstr(piece));
}

INSTANTIATE_TEST_SUITE_P(Inputs, Refused, ::testing::ValuesIn(all_rows()),
                         [](const auto& test) { return test.param.name; });

TEST(Table, has_at_least_120_rows) { EXPECT_GE(all_rows().size(), 120u); }

/// Rows of every kind once more as real processes.
const std::vector<std::string> kAsProcess = {
    "unknown_command",   "config_seed_is_text", "interactions_bad_utf8",  "corpus_missing",
    "tokenizer_no_json", "backbone_no_weights", "checkpoint_all_damaged", "config_device_without_gpu"};

int lines_of_program(const std::string& output) {
  std::istringstream in(output);
  int count = 0;
  for (std::string line; std::getline(in, line);) count += line.starts_with("cllm4rec: ");
  return count;
}

void check_as_process(int ranks) {
  for (const BadInput& row : all_rows()) {
    if (std::find(kAsProcess.begin(), kAsProcess.end(), row.name) == kAsProcess.end()) continue;
    world->enter_copy(row.name + "_" + std::to_string(ranks) + "_ranks");
    row.damage();
    // Without Open MPI's variables: this process is a rank, and mpirun must not take itself for one of its children.
    const Finished finished =
        run("env -i PATH=\"$PATH\" HOME=\"$HOME\" ASAN_OPTIONS=\"$ASAN_OPTIONS\" " + cllm4rec(ranks, row.arguments));
    EXPECT_EQ(finished.code, row.code) << row.name << "\n" << finished.output;
    EXPECT_EQ(lines_of_program(finished.output), 1) << row.name << "\n" << finished.output;
    for (const std::string& piece : row.message) EXPECT_THAT(finished.output, HasSubstr(piece)) << row.name;
  }
}

TEST(AsProcess, a_bad_input_gives_its_code_and_one_line) { check_as_process(1); }
TEST(AsProcess, two_ranks_give_one_code_and_one_line) { check_as_process(2); }

}  // namespace
}  // namespace cllm::testing

int main(int argc, char** argv) {
  if (argc == 2 && (std::string(argv[1]) == "--forms" || std::string(argv[1]) == "--readme-forms")) {
    const bool all = std::string(argv[1]) == "--forms";
    std::fputs((all ? cllm::testing::table_of_forms() : cllm::testing::readme_table_of_forms()).c_str(), stdout);
    return 0;
  }
  ::testing::InitGoogleTest(&argc, argv);
  cllm::MpiSession session(&argc, &argv);
  cllm::testing::mpi = &session;
  const cllm::testing::World made([](const std::string& arguments) { return cllm::testing::run_here(arguments).code; });
  cllm::testing::world = &made;
  return RUN_ALL_TESTS();
}
