#include "tests/bad_input/bad_input.h"

namespace cllm::testing {
namespace {

BadInput corpus_row(const std::string& name, std::function<void()> damage, std::vector<std::string> message) {
  return {"corpus_" + name, std::move(damage), kTrain, 65, std::move(message)};
}
using Json = nlohmann::ordered_json;

}  // namespace

Rows bad_corpora() {
  return {
      corpus_row("missing", [] { remove("corpus"); }, {"corpus/corpus.json: no such file", "cllm4rec prepare"}),
      corpus_row("manifest_missing", [] { remove("corpus/corpus.json"); }, {"corpus/corpus.json: no such file"}),
      corpus_row("manifest_empty", [] { write("corpus/corpus.json", ""); }, {"corpus.json: damaged"}),
      corpus_row("manifest_cut", [] { truncate("corpus/corpus.json", 400); }, {"corpus.json: damaged"}),
      corpus_row("manifest_edited", [] { replace("corpus/corpus.json", "\"users\": 24", "\"users\": 23"); },
                 {"corpus.json", "fingerprint"}),
      corpus_row("manifest_of_other_program", [] { write("corpus/corpus.json", "{\"format\": \"x\"}"); },
                 {"not the manifest of a corpus"}),
      corpus_row("format_is_a_number", [] { write("corpus/corpus.json", "{\"format\": 3}"); }, {"corpus.json"}),
      corpus_row("version_of_the_future", [] { forge_corpus([](Json& j) { j["version"] = 99; }); },
                 {"format version 99", "reads 1 and 2", "prepare"}),
      corpus_row("histories_promise_ratings",
                 [] { forge_corpus([](Json& j) { j["histories"]["ratings"] = !j["histories"]["ratings"]; }); },
                 {"users-000000.h5", "dataset 'train_ratings' is missing"}),
      corpus_row("histories_missing", [] { forge_corpus([](Json& j) { j.erase("histories"); }); },
                 {"corpus.json", "histories"}),
      corpus_row("version_of_nothing", [] { forge_corpus([](Json& j) { j["version"] = 0; }); },
                 {"format version 0", "reads 1 and 2"}),
      corpus_row("counts_negative", [] { forge_corpus([](Json& j) { j["counts"]["users"] = -1; }); },
                 {"count 'users' is -1"}),
      corpus_row("counts_too_large", [] { forge_corpus([](Json& j) { j["counts"]["items"] = uint64_t{1} << 40; }); },
                 {"count 'items' is 1099511627776"}),
      corpus_row("count_no_whole_number", [] { forge_corpus([](Json& j) { j["counts"]["items"] = 2.5; }); },
                 {"expected a whole number, found 2.5"}),
      corpus_row("counts_missing", [] { forge_corpus([](Json& j) { j.erase("counts"); }); }, {"corpus.json", "counts"}),
      corpus_row("shard_outside",
                 [] { forge_corpus([](Json& j) { j["shards"]["users"][0]["name"] = "../raw/items.tsv"; }); },
                 {"../raw/items.tsv", "leaves the corpus"}),
      corpus_row("shard_gap", [] { forge_corpus([](Json& j) { j["shards"]["users"][0]["first_row"] = 1; }); },
                 {"does not continue the rows"}),
      corpus_row("shard_missing", [] { remove("corpus/users-000000.h5"); }, {"users-000000.h5", "cannot open"}),
      corpus_row("shard_cut", [] { truncate("corpus/items-000000.h5", 1000); },
                 {"items-000000.h5", "1000 bytes, the manifest says", "copy the corpus again"}),
      {"corpus_shard_changed",
       [] { flip_byte("corpus/texts-000000.h5", std::filesystem::file_size("corpus/texts-000000.h5") / 2); },
       "inspect corpus --verify",
       65,
       {"texts-000000.h5", "checksum"}},
      corpus_row("shard_not_hdf5",
                 [] {
                   write("corpus/users-000000.h5",
                         std::string(std::filesystem::file_size("corpus/users-000000.h5"), 'x'));
                 },
                 {"users-000000.h5", "not an HDF5 file"}),
      corpus_row("shard_header_flipped", [] { flip_byte("corpus/texts-000000.h5", 70); }, {"texts-000000.h5"}),
      corpus_row("shard_old_format", [] { flip_byte("corpus/texts-000000.h5", 8); }, {"texts-000000.h5"}),
      corpus_row("shards_swapped",
                 [] {
                   forge_corpus([](Json& j) {
                     for (const char* key : {"name", "bytes", "xxh3"})
                       j["shards"]["users"][0][key] = j["shards"]["items"][0][key];
                   });
                 },
                 {"items-000000.h5", "dataset"}),
      corpus_row("tokenizer_gone", [] { remove("corpus/tokenizer"); }, {"tokenizer", "missing"}),
      corpus_row("tokenizer_cut", [] { truncate("corpus/tokenizer/vocab.json", 100); },
                 {"vocab.json", "bytes that the manifest says"}),
      corpus_row("is_a_file",
                 [] {
                   remove("corpus");
                   write("corpus", "x");
                 },
                 {"corpus/corpus.json"}),
      corpus_row("manifest_is_a_folder",
                 [] {
                   remove("corpus/corpus.json");
                   std::filesystem::create_directory("corpus/corpus.json");
                 },
                 {"corpus.json", "not a regular file"}),
      corpus_row("manifest_nested_deeply",
                 [] {
                   write("corpus/corpus.json",
                         "{\"format\": \"cllm4rec-corpus\", \"version\": 1, \"fingerprint\": \"\", \"x\": " +
                             std::string(300000, '[') + std::string(300000, ']') + "}");
                 },
                 {"corpus.json"}),
  };
}

}  // namespace cllm::testing
