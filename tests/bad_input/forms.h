#pragma once

#include <functional>
#include <string>
#include <vector>

namespace cllm::testing {

/// Kinds of faults that users of such tools reported; each has forms below.
enum class FaultKind { kColumns, kParts, kPublicFiles, kTexts, kBackbones, kChoices, kPaths };

/// A form of a kind of fault, and what is right. A row of FORMS.md, and a test: the commands run in a folder that holds
/// good copies of raw/, corpus/, backbone/ and run/, after `make` ("mv A B" renames); the last of them ends with `code`
/// and all that is printed contains every piece of `says`, none of `says_not`. `test_pairs`: "user item, ..." that the
/// corpus new/ holds out for the test. No text of new/ may contain SECRET.
struct Form {
  FaultKind kind;
  std::string name;
  std::string form, right;  // for people
  std::function<void()> make;
  std::vector<std::string> commands;
  int code = 0;
  std::vector<std::string> says = {};
  std::string test_pairs = "";
  bool in_readme = false;
  std::vector<std::string> says_not = {};
};
using Forms = std::vector<Form>;

Forms forms_of_columns();
Forms forms_of_parts();
Forms forms_of_public_files();
Forms forms_of_texts();
Forms forms_of_backbones();
Forms forms_of_choices();
Forms forms_of_paths();
Forms forms_of_other_tables();  // of the first, third and fourth kind
Forms forms_of_other_texts();
Forms forms_of_json();            // of the first four kinds
Forms forms_of_times();           // of the third kind
Forms forms_of_bytes();           // of four kinds
Forms forms_of_layouts();         // of four kinds: files of one folder
Forms forms_of_fields();          // of three kinds
Forms forms_of_numbered_files();  // of the third kind

/// The table in Markdown: of all forms by kind; of those that the README has.
std::string table_of_forms();
std::string readme_table_of_forms();

// What files of forms hold: users u and v, items a, b and c; c is the last in time of both and stands first.
/// make: raw/ holds these files only.
std::function<void()> raw_files(std::vector<std::pair<std::string, std::string>> files);
/// Rows "user,item,time" by the separator, times with `before` and `behind` around 1, 2 and 3.
std::string rows_in_order(const std::string& separator, const std::string& before, const std::string& behind);
using Files = std::vector<std::pair<std::string, std::string>>;
inline const std::string kEpoch = "130000000";
/// A form of raw/ that is read whole.
Form read_form(FaultKind kind, const std::string& name, const std::string& form, const std::string& right, Files files,
               std::vector<std::string> says = {}, const std::string& options = "");
Form refused_form(FaultKind kind, const std::string& name, const std::string& form, const std::string& right,
                  Files files, std::vector<std::string> says, const std::string& options = "");
Form shown(Form form);  // in the README, too
/// Interactions as a file that all understand, for forms of texts.
std::pair<std::string, std::string> plain();
/// The rows of `of`: u, v or both, as with_each_row(); a header above them if there is one.
std::string rows_of(const std::string& header, const std::string& row, const std::string& of = "uv");
/// One row per interaction: @ is the user, # the item, % the time, & its last digit.
std::string with_each_row(const std::string& row, const std::string& times_before);
inline const std::string kPrepareForm =
    "prepare --input raw --output new --tokenizer corpus/tokenizer --split leave-last-out ";
inline const std::string kTrainForm =
    "train --run.dir=new --run.corpus=corpus --run.backbone=backbone --warmup.epochs=1 --mutual.epochs=0 "
    "--finetune.epochs=0 ";

}  // namespace cllm::testing
