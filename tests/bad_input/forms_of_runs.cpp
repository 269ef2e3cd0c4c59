// Forms of what a run meets: parts of a corpus, backbones, choices nobody made, paths.

#include <cstdlib>
#include <cstring>
#include <limits>

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

const std::string kWeights = "backbone/model.safetensors";

/// Every tensor of the backbone gets another name.
void rename_tensors(const std::function<std::string(const std::string&)>& name) {
  const std::string file = read(kWeights);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), 8);
  const auto header = nlohmann::ordered_json::parse(file.substr(8, length));
  nlohmann::ordered_json renamed;
  for (const auto& [key, value] : header.items()) renamed[key == "__metadata__" ? key : name(key)] = value;
  write(kWeights, safetensors(renamed.dump(), 0) + file.substr(8 + length));
}

/// The first value of the last tensor in the file.
void write_nan() {
  std::string file = read(kWeights);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(file.data() + file.size() - sizeof nan, &nan, sizeof nan);
  write(kWeights, file);
}

void only(const std::string& name) {
  remove(kWeights);
  write("backbone/" + name, "x");
}

Form parts_form(const std::string& name, const std::string& form, const std::string& right, const std::string& split,
                std::vector<std::string> says, std::vector<std::string> more = {}, int code = 0) {
  const auto make = [] {
    std::string train_only, train_test, train_validation;
    for (const char user : {'u', 'v', 'w'}) {
      for (const char item : {'a', 'b', 'c'}) {
        const std::string pair = std::string(1, user) + "\t" + item + "\t";
        train_only += pair + "train\n";
        train_test += pair + (item == 'c' ? "test\n" : "train\n");
        train_validation += pair + (item == 'c' ? "valid\n" : "train\n");
      }
    }
    raw_files({{"interactions.tsv", "user\titem\nu\ta\nu\tb\nu\tc\nv\ta\nv\tb\nv\tc\nw\ta\nw\tb\nw\tc\n"},
               {"items.tsv", "item\ttext\na\tone thing\nb\ttwo things\nc\tthree\n"}})();
    write("train_only.tsv", train_only);
    write("train_test.tsv", train_test);
    write("train_validation.tsv", train_validation);
  };
  std::vector<std::string> commands = {
      "prepare --input raw --output made --tokenizer corpus/tokenizer --split " + split,
      "train --run.dir=done --run.corpus=made --run.backbone=backbone --warmup.epochs=1 --mutual.epochs=0 "
      "--finetune.epochs=1"};
  commands.insert(commands.end(), more.begin(), more.end());
  return {FaultKind::kParts, name, form, right, make, std::move(commands), code, std::move(says)};
}

Form backbone_form(const std::string& name, const std::string& form, const std::string& right,
                   std::function<void()> make, int code, std::vector<std::string> says, bool in_readme = false) {
  return {FaultKind::kBackbones, name, form,     right, std::move(make), {kTrainForm}, code,
          std::move(says),       "",   in_readme};
}

Form choice_form(const std::string& name, const std::string& form, const std::string& right, const std::string& options,
                 std::vector<std::string> says, std::function<void()> make = nothing) {
  return {FaultKind::kChoices, name, form, right, std::move(make), {kTrainForm + options}, 0, std::move(says)};
}

}  // namespace

Forms forms_of_parts() {
  const std::string not_tested = "no user has a test item: not tested",
                    last = "nothing can choose a state, the last one is kept";
  return {
      parts_form("only_training", "a split file with `train` only", "trained and kept, \"not tested\", exit 0",
                 "train_only.tsv", {not_tested, last}),
      parts_form("no_test", "a split file without `test`", "trained, the best state kept, \"not tested\"",
                 "train_validation.tsv", {not_tested}),
      parts_form("no_validation", "a split file without `val`", "the last state is kept and tested; the start says so",
                 "train_test.tsv", {last, "test, state of step"}),
      {FaultKind::kParts,
       "time_split_without_times",
       "`--split time:0.8,0.1,0.1` of rows without times",
       "refused: how many have none, and what to do",
       raw_files({{"interactions.tsv", "user\titem\nu\ta\nu\tb\nu\tc\n"}}),
       {"prepare --input raw --output made --tokenizer corpus/tokenizer --split time:0.8,0.1,0.1"},
       65,
       {"needs the time of every interaction, but 3 of 3 have none"}},
      parts_form("evaluate_without_test", "`evaluate` of a run without a test part",
                 "one line: nothing to evaluate, exit 64", "train_only.tsv", {"has a test item: nothing to evaluate"},
                 {"evaluate done"}, 64),
      parts_form("evaluate_without_validation", "`evaluate --part validation` without one", "the same",
                 "train_test.tsv", {"has a validation item: nothing to evaluate"}, {"evaluate done --part validation"},
                 64),
      parts_form("recommend_without_test", "`recommend` from a run that was never tested", "lists for all users",
                 "train_only.tsv", {}, {"recommend done --k 2"})};
}

Forms forms_of_backbones() {
  return {
      backbone_form("torch_compile", "names with `_orig_mod.` of torch.compile", "loaded",
                    [] { rename_tensors([](const std::string& name) { return "_orig_mod." + name; }); }, 0, {}),
      backbone_form("ddp", "names with `module.` of DistributedDataParallel", "loaded",
                    [] { rename_tensors([](const std::string& name) { return "module." + name; }); }, 0, {}),
      backbone_form("fsdp", "`_fsdp_wrapped_module.` in the middle of names", "loaded",
                    [] {
                      rename_tensors([](const std::string& name) {
                        return "transformer._fsdp_wrapped_module." + name.substr(std::string("transformer.").size());
                      });
                    },
                    0, {}),
      backbone_form(
          "vocab_size_of_padding", "`vocab_size` 320 for a tokenizer of 280",
          "loaded, rows beyond are not used; the start says so",
          [] { replace("backbone/config.json", "\"vocab_size\": 280", "\"vocab_size\": 320"); }, 0,
          {"words      280 of the tokenizer; the other 40 rows of the backbone's word table are padding"}, true),
      backbone_form("fewer_rows_than_words", "`vocab_size` 270 for a tokenizer of 280 words",
                    "refused; `resize_token_embeddings(280)` is named",
                    [] { replace("backbone/config.json", "\"vocab_size\": 280", "\"vocab_size\": 270"); }, 64,
                    {"has 270 words", "resize_token_embeddings(280)"}),
      backbone_form("far_more_rows_than_words", "a corpus of another tokenizer, of far fewer words", "refused",
                    [] { replace("backbone/config.json", "\"vocab_size\": 280", "\"vocab_size\": 50257"); }, 64,
                    {"has 50257 words", "was tokenized with 280"}),
      backbone_form("another_tokenizer_of_the_same_size",
                    "the backbone's folder has another tokenizer of as many words", "refused; `retokenize` is named",
                    [] {
                      std::filesystem::copy(
                          "corpus/tokenizer", "backbone",
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
                      const std::string path = "backbone/tokenizer.json";
                      auto json = nlohmann::ordered_json::parse(read(path));
                      std::swap(json["model"]["vocab"]["!"], json["model"]["vocab"]["?"]);
                      write(path, json.dump());
                    },
                    64, {"not with the tokenizer of the backbone's folder", "cllm4rec retokenize"}),
      backbone_form("nan", "a weight is NaN", "refused at load with the tensor's name", write_nan, 65,
                    {"holds 1 of", "NaN or infinite", "a damaged file or a diverged model"}, true),
      backbone_form(
          "pytorch_bin", "only `pytorch_model-00001-of-00002.bin`", "refused with the command that converts it",
          [] { only("pytorch_model-00001-of-00002.bin"); }, 65,
          {"not there, but pytorch_model-00001-of-00002.bin is", "safe_serialization=True"}, true),
      backbone_form("adapter", "only `adapter_model.safetensors` of PEFT", "refused with the command that joins it",
                    [] { only("adapter_model.safetensors"); }, 65, {"merge_and_unload"}),
      backbone_form("gguf", "only `model.Q4_K_M.gguf`", "refused with the command that converts it",
                    [] { only("model.Q4_K_M.gguf"); }, 65, {"gguf_file='model.Q4_K_M.gguf'"}),
      backbone_form("lfs_pointer", "a Git LFS pointer in the place of the weights", "refused; `git lfs pull` is named",
                    [] { write(kWeights, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"); }, 65,
                    {"git lfs pull"})};
}

Forms forms_of_choices() {
  return {
      choice_form("long_histories", "histories of more than `batch.max_items = 2`",
                  "how many, and that a random choice is used", "--batch.max_items=2",
                  {"are longer than the 2 items that fit", "a random choice of them is used"}),
      choice_form("newest", "`history.keep = newest`", "the newest are used",
                  "--batch.max_items=2 --history.keep=newest", {"the newest are used (history.keep = newest)"}),
      choice_form("ascending", "histories in ascending order that are too long",
                  "the lowest ids are used, and what else there is", "--batch.max_items=2 --loss.item_order=ascending",
                  {"the lowest ids are used", "history.keep = newest"}),
      choice_form("mask", "nothing said of what lists leave out at the test",
                  "the default and the other choice are printed", "",
                  {"lists leave out training items only (evaluation.mask = known"}),
      choice_form("mask_known", "`evaluation.mask = known`", "validation items are left out, too",
                  "--evaluation.mask=known", {"lists leave out training and validation items"}),
      choice_form("lonely_rank", "one rank where the scheduler allotted four", "a warning with the variable", "",
                  {"WARNING    SLURM_NTASKS is 4, but this is one rank by itself"},
                  [] { setenv("SLURM_NTASKS", "4", 1); }),
      {FaultKind::kChoices,
       "no_times",
       "a corpus of interactions without times",
       "the order of the file counts; the start says so",
       raw_files({{"interactions.tsv", "user\titem\nu\ta\nu\tb\nu\tc\nv\ta\nv\tb\nv\tc\n"},
                  {"items.tsv", "item\ttext\na\tx y\nb\ty\nc\tz\n"}}),
       {"prepare --input raw --output made --tokenizer corpus/tokenizer --split leave-last-out",
        "train --run.dir=done --run.corpus=made --run.backbone=backbone --warmup.epochs=1 --mutual.epochs=0 "
        "--finetune.epochs=0"},
       0,
       {"no interaction has a time: the last of a user is the last in the file", "times      the corpus has none"}}};
}

Forms forms_of_paths() {
  const auto form = [](const std::string& name, const std::string& what, const std::string& right,
                       std::function<void()> make, std::vector<std::string> commands, int code,
                       std::vector<std::string> says) {
    return Form{FaultKind::kPaths, name, what, right, std::move(make), std::move(commands), code, std::move(says)};
  };
  const auto together = [] {
    std::filesystem::create_directory("all");
    for (const char* name : {"corpus", "backbone"}) std::filesystem::rename(name, std::string("all/") + name);
  };
  const std::string train = kTrainForm.substr(kTrainForm.find("--warmup"));
  const std::string train_together =
      "train --run.dir=all/run --run.corpus=all/corpus --run.backbone=all/backbone " + train;
  return {
      form("all_moved", "run, corpus and backbone moved together", "found", together,
           {train_together, "mv all other", "evaluate other/run"}, 0, {"protocol:"}),
      form("corpus_moved", "the corpus alone was moved, `--corpus` says where", "used", nothing,
           {kTrainForm, "mv corpus data", "evaluate new --corpus data"}, 0, {"protocol:"}),
      form("corpus_moved_without_a_word", "the same without the option", "refused; the option is named", nothing,
           {kTrainForm, "mv corpus data", "evaluate new"}, 65, {"--corpus"}),
      form("number_as_text", "`--run.dir=2024`", "a text: the folder of that name", nothing,
           {"train --run.dir=2024 --run.corpus=corpus --run.backbone=backbone " + train}, 0, {"/2024'"}),
      form("output_exists", "the output of `recommend` is there already", "refused; `--overwrite` is named",
           [] { write("lists.jsonl", "mine"); }, {"recommend run -o lists.jsonl"}, 64, {"lists.jsonl", "--overwrite"}),
      form("standard_output", "`recommend -o -`", "lists on standard output", nothing, {"recommend run --k 2 -o -"}, 0,
           {"\"user\""}),
      form("unknown_user", "a list of users with one that the corpus has not", "counted and left out",
           [] {
             const std::string users = read("raw/users.tsv");
             const size_t second = users.find('\n') + 1;
             write("users.txt", "nobody\n" + users.substr(second, users.find('\t', second) - second) + "\n");
           },
           {"recommend run --users users.txt --k 2 -o -"}, 0, {"nobody"}),
      form("unknown_user_strict", "the same with `--strict`", "refused", [] { write("users.txt", "nobody\n"); },
           {"recommend run --users users.txt --strict -o -"}, 64, {"nobody"}),
      form("bom_in_a_split_file", "a BOM in front of the split file", "read",
           [] {
             raw_files({{"interactions.tsv", "user\titem\nu\ta\nu\tb\n"}})();
             write("split.tsv", "\xEF\xBB\xBFuser\titem\tpart\nu\ta\ttrain\nu\tb\ttest\n");
           },
           {"prepare --input raw --output made --tokenizer corpus/tokenizer --split split.tsv"}, 0,
           {"(1 train, 0 validation, 1 test)"})};
}

}  // namespace cllm::testing
