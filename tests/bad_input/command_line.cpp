#include "tests/bad_input/bad_input.h"

namespace cllm::testing {

Rows bad_command_lines() {
  return {
      {"unknown_command", nothing, "trian", 64, {"unknown command \"trian\"", "cllm4rec --help"}},
      {"no_command", nothing, "", 64, {"subcommand is required", "cllm4rec --help"}},
      {"unknown_option", nothing, "inspect corpus --sample=3", 64, {"--sample=3", "--help"}},
      {"inspect_without_path", nothing, "inspect", 64, {"path is required"}},
      {"inspect_of_nothing", nothing, "inspect nowhere", 64, {"nowhere", "corpus.json", "config.toml", "manifest.json"}},
      {"inspect_samples_is_text", nothing, "inspect corpus --samples=x", 64, {"samples", "x"}},
      {"prepare_without_input", nothing, "prepare --output out", 64, {"--input is required"}},
      {"prepare_without_output", nothing, "prepare --input raw", 64, {"--output is required"}},
      {"prepare_without_tokenizer", nothing, "prepare --input raw --output out", 64, {"--tokenizer", "--train-tokenizer"}},
      {"prepare_two_tokenizers", nothing, "prepare --input raw --output out --tokenizer a --train-tokenizer 300", 64, {"--tokenizer excludes --train-tokenizer"}},
      {"prepare_unknown_format", nothing, "prepare --input raw --output out --format xml", 64, {"--format", "xml"}},
      {"prepare_unknown_user_texts", nothing, "prepare --input raw --output out --user-texts maybe", 64, {"--user-texts", "maybe"}},
      {"prepare_memory_is_text", nothing, "prepare --input raw --output out --memory much", 64, {"--memory"}},
      {"prepare_negative_k_core", nothing, "prepare --input raw --output out --train-tokenizer 280 --k-core -1", 64, {"--k-core", "-1"}},
      {"prepare_negative_min_history", nothing, "prepare --input raw --output out --train-tokenizer 280 --min-history -1", 64, {"--min-history", "-1"}},
      {"prepare_negative_error_limit", nothing, "prepare --input raw --output out --train-tokenizer 280 --error-limit -0.5", 64, {"--error-limit", "-0.5"}},
      {"prepare_error_limit_above_one", nothing, "prepare --input raw --output out --train-tokenizer 280 --error-limit 5", 64, {"--error-limit", "5"}},
      {"prepare_negative_threads", nothing, "prepare --input raw --output out --train-tokenizer 280 --threads -2", 64, {"--threads", "-2"}},
      {"prepare_no_text_tokens", nothing, "prepare --input raw --output out --train-tokenizer 280 --max-text-tokens 0", 64, {"--max-text-tokens", "0"}},
      {"prepare_tokenizer_too_small", nothing, "prepare --input raw --output out --train-tokenizer 200", 64, {"--train-tokenizer", "200", "257"}},
      {"prepare_tokenizer_negative", nothing, "prepare --input raw --output out --train-tokenizer -5", 64, {"--train-tokenizer", "-5"}},
      {"demo_without_folder", nothing, "demo-data", 64, {"dir is required"}},
      {"demo_negative_users", nothing, "demo-data new --users -3", 64, {"--users", "-3"}},
      {"demo_without_items", nothing, "demo-data new --items 0", 64, {"--items", "0"}},
      {"demo_notes_above_one", nothing, "demo-data new --notes 2", 64, {"--notes", "2"}},
      {"demo_folder_in_use", nothing, "demo-data raw", 65, {"raw", "not empty"}},
      {"pretrain_without_corpus", nothing, "pretrain-backbone --output new", 64, {"--corpus is required"}},
      {"pretrain_no_layers", nothing, "pretrain-backbone --corpus corpus --output new --layers 0", 64, {"--layers", "0"}},
      {"pretrain_odd_heads", nothing, "pretrain-backbone --corpus corpus --output new --width 10 --heads 4", 64, {"--width 10 is no multiple of --heads 4"}},
      {"pretrain_context_too_long", nothing, "pretrain-backbone --corpus corpus --output new --positions 16 --context 32", 64, {"--context 32 is longer than --positions 16"}},
      {"evaluate_unknown_part", nothing, "evaluate run --part trial", 64, {"--part", "trial"}},
      {"evaluate_cut_off_zero", nothing, "evaluate run --recall-k 10,0", 64, {"--recall-k", "0"}},
      {"evaluate_file_in_missing_folder", nothing, "evaluate run --per-user no/where.jsonl", 64, {"no/where.jsonl"}},
      {"recommend_k_is_zero", nothing, "recommend run --k 0", 64, {"--k", "0"}},
      {"recommend_without_users_file", nothing, "recommend run --users nobody.txt", 64, {"nobody.txt", "one raw user id per line"}},
      {"recommend_unknown_user", [] { write("users.txt", "\nnobody at all\n"); }, "recommend run --users users.txt", 64, {"users.txt:2", "nobody at all", "not in the corpus"}},
      {"recommend_into_missing_folder", nothing, "recommend run --output no/where.jsonl", 64, {"no/where.jsonl"}},
      {"export_onto_a_file", [] { write("taken", "x"); }, "export run --output taken", 64, {"taken"}},
      {"checkpoint_without_action", nothing, "checkpoint", 64, {"subcommand is required"}},
      {"checkpoint_of_nothing", nothing, "checkpoint verify nowhere", 66, {"nowhere: no such folder"}},
  };
}

}  // namespace cllm::testing
