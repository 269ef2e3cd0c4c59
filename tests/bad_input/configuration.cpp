#include "tests/bad_input/bad_input.h"

namespace cllm::testing {
namespace {

/// One bad override on top of a good configuration.
BadInput override_row(const std::string& name, const std::string& override, std::vector<std::string> message) {
  return {"config_" + name, nothing, kTrain + override, 64, std::move(message)};
}

/// A bad file beside good overrides.
BadInput file_row(const std::string& name, const std::string& text, std::vector<std::string> message) {
  return {"config_file_" + name, [text] { write("bad.toml", text); },
          "train bad.toml --run.dir=new --run.corpus=corpus --run.backbone=backbone", 64, std::move(message)};
}

}  // namespace

Rows bad_configurations() {
  return {
      override_row("unknown_key", "--loss.lamda=1", {"--loss.lamda", "unknown key", "loss.lambda"}),
      override_row("unknown_section", "--los.lambda=1", {"--los.lambda", "unknown key", "loss.lambda"}),
      override_row("no_equals_sign", "--loss.lambda", {"--loss.lambda", "--section.key=value"}),
      override_row("stray_word", "extra", {"extra: no such file", "--section.key=value"}),
      override_row("seed_is_text", "--run.seed=abc", {"--run.seed", "'abc'", "an integer"}),
      override_row("seed_is_negative", "--run.seed=-1", {"--run.seed", "-1", "at least 0"}),
      override_row("seed_is_fraction", "--run.seed=1.5", {"run.seed", "1.5", "an integer"}),
      override_row("seed_too_large", "--run.seed=99999999999999999999",
                   {"run.seed", "99999999999999999999", "an integer"}),
      override_row("unknown_device", "--run.device=tpu", {"run.device", "tpu", "cpu | cuda"}),
      override_row("device_without_gpu", "--device=cuda", {"device = \"cuda\"", "--device=cpu"}),
      override_row("nodes_do_not_divide", "--run.ranks_per_node=5",
                   {"run.ranks_per_node = 5", "does not divide", "ranks"}),
      override_row("graphs_on_the_cpu", "--run.graph_tokens=4096 --run.precision=bf16",
                   {"run.graph_tokens = 4096", "--device=cuda"}),
      override_row("bf16_tables_in_fp64", "--run.table_precision=bf16 --run.precision=fp64",
                   {"run.table_precision", "run.precision", "exclude each other"}),
      override_row("host_tables_on_the_cpu", "--run.user_tables=host",
                   {"run.user_tables", "run.device", "in the host's memory"}),
      override_row("no_negatives", "--optimizer.negatives=0", {"optimizer.negatives", "0", "1 to"}),
      override_row("unknown_precision", "--run.precision=fp8", {"run.precision", "fp8", "fp32 | bf16 | fp64"}),
      override_row("unknown_variant", "--run.variant=llm", {"run.variant", "llm", "llm-scratch"}),
      override_row("unknown_preset", "--loss.preset=best", {"loss.preset", "best", "paper | release"}),
      override_row("too_many_threads", "--run.threads=99999", {"run.threads", "99999", "0 to 4096"}),
      override_row("deadline_negative", "--run.deadline_s=-5", {"run.deadline_s", "-5", "at least 0"}),
      override_row("flag_is_number", "--mutual.content_epochs=1", {"mutual.content_epochs", "1", "true or false"}),
      override_row("learning_rate_nan", "--mutual.learning_rate=nan", {"mutual.learning_rate", "nan"}),
      override_row("learning_rate_infinite", "--mutual.learning_rate=inf", {"mutual.learning_rate", "inf"}),
      override_row("learning_rate_negative", "--finetune.learning_rate=-0.1",
                   {"finetune.learning_rate", "-0.1", "at least 0"}),
      override_row("decay_unknown", "--mutual.decay=step", {"mutual.decay", "step", "constant | cosine | linear"}),
      override_row("masking_above_one", "--loss.masking=1.5", {"loss.masking", "1.5", "0 to 1"}),
      override_row("dropout_is_one", "--dropout.attention=1", {"dropout.attention", "1"}),
      override_row("beta_is_one", "--optimizer.beta1=1", {"optimizer.beta1", "1"}),
      override_row("group_size_zero", "--loss.group_size=0", {"loss.group_size", "0", "1 to"}),
      override_row("groups_zero", "--batch.groups=0", {"batch.groups", "0", "1 to"}),
      override_row("epochs_negative", "--mutual.epochs=-1", {"mutual.epochs", "-1", "0 to"}),
      override_row("epochs_beyond_reason", "--mutual.epochs=9000000000000000000",
                   {"mutual.epochs", "9000000000000000000"}),
      override_row("model_unknown", "--model.name=sasrc", {"model.name", "sasrc", "sasrec"}),
      override_row("key_of_another_model", "--ease.lambda=3", {"ease.lambda", "belongs to model.name = \"ease\""}),
      {"config_model_without_epochs",
       nothing,
       "train --run.dir=new --run.corpus=corpus --model.name=multi_vae --multi_vae.epochs=0",
       64,
       {"model.name = \"multi_vae\" would train nothing", "its epochs are 0"}},
      override_row("no_stage_at_all", "--warmup.epochs=0 --mutual.epochs=0 --finetune.epochs=0",
                   {"mutual.epochs", "all 0", "set one of them"}),
      override_row("keep_one_checkpoint", "--checkpoint.keep=1", {"checkpoint.keep", "1", "at least 2"}),
      override_row("cut_offs_empty", "--evaluation.recall_k=[]", {"evaluation.recall_k", "[]", "a list of integers"}),
      override_row("cut_offs_mixed", "--evaluation.recall_k=[1,'x']", {"evaluation.recall_k", "a list of integers"}),
      override_row("cut_off_zero", "--evaluation.ndcg_k=[0]", {"evaluation.ndcg_k", "0", "at least 1"}),
      override_row("select_unknown_metric", "--finetune.select=recall@7",
                   {"finetune.select", "recall@7 is not computed", "recall@20"}),
      override_row("select_empty", "--finetune.select=", {"finetune.select", "is not computed"}),
      override_row("prompt_without_user", "--prompts.collaborative=hello", {"prompts.collaborative", "{user}"}),
      override_row("prompt_unknown_word", "--prompts.review={user}-{thing}", {"prompts.review", "{thing}"}),
      override_row("value_is_table", "--run.dir={a=1}", {"run.dir"}),
      {"config_corpus_not_set",
       nothing,
       "train --run.dir=new --run.backbone=backbone",
       64,
       {"run.corpus is not set", "--run.corpus="}},
      {"config_backbone_not_set",
       nothing,
       "train --run.dir=new --run.corpus=corpus",
       64,
       {"run.backbone is not set", "--run.backbone="}},
      override_row("run_dir_empty", "--run.dir=", {"run.dir is not set"}),
      {"config_run_dir_is_a_file", [] { write("new", "x"); }, kTrain, 64, {"run.dir", "new"}},
      {"config_run_dir_below_a_file",
       [] { write("taken", "x"); },
       kTrain + "--run.dir=taken/run",
       64,
       {"run.dir", "taken/run"}},
      {"config_file_missing", nothing, "train nowhere.toml", 64, {"nowhere.toml"}},
      {"config_file_is_a_folder", nothing, "train corpus", 64, {"corpus"}},
      file_row("no_closing_bracket", "[run\nseed = 1\n", {"bad.toml:1"}),
      file_row("two_equals_signs", "[run]\nseed = = 1\n", {"bad.toml:2"}),
      file_row("key_twice", "[run]\nseed = 1\nseed = 2\n", {"bad.toml:3", "seed"}),
      file_row("unknown_key", "[run]\nsed = 1\n", {"bad.toml:2", "unknown key run.sed", "run.seed"}),
      file_row("key_without_section", "seed = 1\n", {"bad.toml:1", "unknown key seed", "run.seed"}),
      file_row("section_is_value", "run = 3\n", {"bad.toml:1", "unknown key run"}),
      file_row("section_is_list", "[[run]]\nseed = 1\n", {"bad.toml:1", "run"}),
      file_row("date_for_number", "[run]\nseed = 1979-05-27\n", {"bad.toml:2", "1979-05-27", "an integer"}),
      file_row("not_utf8", "[run]\ndir = \"\xFF\xFE\"\n", {"bad.toml:2"}),
      file_row("binary",
               std::string("\x7F"
                           "ELF\0\1\2",
                           7),
               {"bad.toml:1"}),
      {"config_two_files",
       [] {
         write("a.toml", "");
         write("b.toml", "");
       },
       "train a.toml b.toml",
       64,
       {"b.toml", "--section.key=value"}},
  };
}

}  // namespace cllm::testing
