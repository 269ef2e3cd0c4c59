// The table of FORMS.md, every row a test. `bad_input --forms` prints the page, `--readme-forms` the README's table.

#include "tests/bad_input/forms.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <ostream>

#include "data/corpus/corpus.h"
#include "tests/bad_input/bad_input.h"

namespace cllm::testing {

void PrintTo(const Form& form, std::ostream* out) { *out << form.form; }

namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Forms all_forms() {
  Forms all;
  for (const Forms& forms :
       {forms_of_columns(), forms_of_parts(), forms_of_public_files(), forms_of_texts(), forms_of_backbones(),
        forms_of_choices(), forms_of_paths(), forms_of_other_tables(), forms_of_other_texts(), forms_of_json(),
        forms_of_times(), forms_of_bytes(), forms_of_layouts(), forms_of_fields(), forms_of_numbered_files()}) {
    all.insert(all.end(), forms.begin(), forms.end());
  }
  std::stable_sort(all.begin(), all.end(), [](const Form& a, const Form& b) { return a.kind < b.kind; });
  return all;
}

const char* title(FaultKind kind) {
  constexpr std::array kTitles = {"columns by position where the header is not understood",
                                  "no validation or no test part",
                                  "public files, dates and literals",
                                  "text lost quietly, held-out text leaking in",
                                  "backbone folders as they are",
                                  "choices that change results",
                                  "names and paths"};
  return kTitles[static_cast<size_t>(kind)];
}

std::string test_pairs_of(const Corpus& corpus) {
  std::vector<std::string> pairs;
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user)
    for (const int32_t item : corpus.items(user, Part::kTest))
      pairs.push_back(std::string(corpus.user_raw_id(user)) + " " + std::string(corpus.item_raw_id(item)));
  std::sort(pairs.begin(), pairs.end());
  std::string out;
  for (const std::string& pair : pairs) out += (out.empty() ? "" : ", ") + pair;
  return out;
}

class RightForm : public ::testing::TestWithParam<Form> {
 protected:
  void TearDown() override { unsetenv("SLURM_NTASKS"); }
};

TEST_P(RightForm, ends_as_the_table_says) {
  const Form& form = GetParam();
  the_world().enter_copy("form_" + form.name);
  form.make();
  std::string printed;
  Ended ended{};
  for (const std::string& command : form.commands) {
    ASSERT_EQ(ended.code, 0) << ended.line << "\n" << printed;
    if (command.starts_with("mv ")) {
      const size_t blank = command.find(' ', 3);
      std::filesystem::rename(command.substr(3, blank - 3), command.substr(blank + 1));
      continue;
    }
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    ended = run_here(command);
    printed += ::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr() + ended.line;
  }
  EXPECT_EQ(ended.code, form.code) << ended.line << "\n" << printed;
  EXPECT_THAT(ended.line, Not(HasSubstr("\n")));
  for (const std::string& piece : form.says) EXPECT_THAT(printed, HasSubstr(piece));
  for (const std::string& piece : form.says_not) EXPECT_THAT(printed, Not(HasSubstr(piece)));
  if (!std::filesystem::exists("new/corpus.json")) return;
  const Corpus corpus = Corpus::open("new", true);
  EXPECT_EQ(test_pairs_of(corpus), form.test_pairs);
  for (int64_t n = 0; n < corpus.num_texts(); ++n)
    EXPECT_THAT(std::string(corpus.raw_text(n)), Not(HasSubstr("SECRET")));
}

INSTANTIATE_TEST_SUITE_P(Table, RightForm, ::testing::ValuesIn(all_forms()),
                         [](const auto& test) { return test.param.name; });

TEST(Forms, are_at_least_six_of_every_kind) {
  std::map<FaultKind, int> counts;
  for (const Form& form : all_forms()) ++counts[form.kind];
  EXPECT_EQ(counts.size(), 7u);
  for (const auto& [kind, count] : counts) EXPECT_GE(count, 6) << title(kind);
}

TEST(Forms, are_what_the_page_and_the_readme_list) {
  EXPECT_EQ(read(CLLM_SOURCE_DIR "/tests/bad_input/FORMS.md"), table_of_forms());
  EXPECT_THAT(read(CLLM_SOURCE_DIR "/README.md"), HasSubstr(readme_table_of_forms()));
}

}  // namespace

std::string table_of_forms() {
  std::string out =
      "# Forms of the faults that users of such tools reported\n\nEvery row is a test of `bad_input` "
      "(`forms_*.cpp`), which also compares this page with them.\n";
  std::string last;
  for (const Form& form : all_forms()) {
    if (last != title(form.kind)) {
      last = title(form.kind);
      out += "\n## " + last + "\n\n| form | what is right |\n|---|---|\n";
    }
    out += "| " + form.form + " | " + form.right + " |\n";
  }
  return out;
}

std::string readme_table_of_forms() {
  std::string out = "| your files | what happens |\n|---|---|\n";
  for (const Form& form : all_forms()) {
    if (form.in_readme) out += "| " + form.form + " | " + form.right + " |\n";
  }
  return out;
}

std::function<void()> raw_files(std::vector<std::pair<std::string, std::string>> files) {
  return [files = std::move(files)] {
    remove("raw");
    for (const auto& [name, content] : files) write("raw/" + name, content);
  };
}

std::string rows_in_order(const std::string& separator, const std::string& before, const std::string& behind) {
  std::string out;
  for (const char* user : {"u", "v"}) {
    for (const auto& [item, time] : {std::pair{"c", "3"}, {"a", "1"}, {"b", "2"}})
      out += std::string(user) + separator + item + separator + before + time + behind + "\n";
  }
  return out;
}

}  // namespace cllm::testing
