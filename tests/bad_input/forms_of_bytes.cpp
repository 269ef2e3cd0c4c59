// Forms of files that are not what their names say, and of ids that are another's but for their form.

#include <zlib.h>

#include "tests/bad_input/bad_input.h"
#include "tests/bad_input/forms.h"

namespace cllm::testing {
namespace {

using namespace std::string_literals;

std::string gzip(const std::string& text) {
  z_stream state{};
  constexpr int kGzip = 16 + MAX_WBITS, kMemory = 8;
  deflateInit2(&state, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzip, kMemory, Z_DEFAULT_STRATEGY);
  std::string in = text, out(text.size() + 256, '\0');
  state.next_in = reinterpret_cast<Bytef*>(in.data());
  state.avail_in = static_cast<uInt>(in.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

std::string csv() { return "user,item,time\n" + rows_in_order(",", kEpoch, ""); }

Forms forms_of_kinds_of_files() {
  constexpr auto kOther = FaultKind::kPublicFiles;
  const auto refused = [&](const std::string& name, const std::string& form, const std::string& bytes,
                           const std::string& what, const std::string& remedy) {
    return refused_form(kOther, name, form, "refused with what it is and what to do", {{"interactions.csv", bytes}},
                        {"interactions.csv: by its first bytes " + what, remedy});
  };
  return {
      read_form(kOther, "packed_under_a_plain_name", "a gzip file named `.csv`", "read",
                {{"interactions.csv", gzip(csv())}}),
      read_form(kOther, "packed_twice", "a `.csv.gz` that was packed twice", "read",
                {{"interactions.csv.gz", gzip(gzip(csv()))}}),
      refused("workbook", "a workbook (`.xlsx`) or a zip archive named `.csv`", "PK\x03\x04\x14\0\x06\0"s + csv(),
              "a zip archive, or a workbook of Excel", "save a workbook as CSV in UTF-8"),
      refused("page", "a page that asks to log in, saved as `.csv`", "\n<!DOCTYPE html>\n<html>\n<body>a,b</body>\n",
              "a web page", "download the data again"),
      refused("parquet_under_another_name", "a Parquet file named `.csv`", "PAR1\x15\x04"s + csv(), "a Parquet file",
              "call it NAME.parquet"),
      refused("pickle", "a pickle named `.csv`", "\x80\x04\x95\x10"s + csv(), "a pickle of Python", "to_csv"),
      refused("arrow_stream", "an Arrow stream (`.arrow` of Hugging Face's `save_to_disk`)",
              "\xFF\xFF\xFF\xFF\x18\1\0\0\x10\0\0\0"s, "an Arrow stream",
              "load_from_disk('FOLDER').to_parquet('interactions.parquet')"),
      refused("npz", "arrays of NumPy or SciPy (`.npz`)",
              "PK\x03\x04\x14\0\0\0\0\0\0\0!\0abcdabcdabcd\x0b\0\0\0indices.npy\x93NUMPY"s, "arrays of NumPy (.npz)",
              "scipy.sparse.load_npz('OLD').tocoo()"),
      refused("rds", "an object of R (`.rds`, gzip)", gzip("X\n\0\0\0\3\0\4\1\2"s), "an object of R (.rds)",
              "write.csv(readRDS('OLD')"),
      refused("rdata", "objects of R (`.RData`, gzip)", gzip("RDX3\nX\n\0\0\0\3"s), "objects of R (.RData)",
              "load('OLD')"),
      refused("lz4", "a file packed by lz4", "\x04\x22\x4D\x18\x64\x40"s, "packed by lz4", "lz4 -d"),
      refused("duckdb", "a data base of DuckDB", "abcdefghDUCK@\0\0\0"s, "a data base of DuckDB", "FROM TABLE"),
      refused("bzip2_under_another_name", "a bzip2 file named `.csv`", "BZh91AY&SY"s + csv(), "packed by bzip2",
              "bzip2 -d"),
  };
}

Forms forms_of_like_ids() {
  constexpr auto kColumns = FaultKind::kColumns, kParts = FaultKind::kParts, kTexts = FaultKind::kTexts;
  const std::string numbers = "user,item,time\n1,10,1\n1,20,2\n1,30,3\n2,10,1\n2,20,2\n2,30,3\n";
  const std::string parts = "user,item,part\n1,10.0,train\n1,20.0,val\n1,30.0,test\n";
  return {
      {kParts,
       "split_file_of_floats",
       "a split file that has `10.0` where the interactions have `10`",
       "refused; both forms are shown",
       raw_files({{"interactions.csv", numbers}, {"split.csv", parts}}),
       {"prepare --input raw --output new --tokenizer corpus/tokenizer --split raw/split.csv"},
       65,
       {"3 of 3 items of the split file looked at differ from known ones in their form alone, as '10.0' and '10'"}},
      {kTexts,
       "items_with_zeros_in_front",
       "`0010` in `items.csv` where the interactions have `10`",
       "noted; both forms are shown",
       raw_files({{"interactions.csv", numbers}, {"texts.csv", "item,text\n0010,a fine thing\n0020,a red one\n"}}),
       {kPrepareForm},
       0,
       {"texts.csv: 2 of 2 items looked at differ from known ones in their form alone, as '0010' and '10'"},
       "1 30, 2 30"},
      {kColumns,
       "extended_by_floats",
       "`--extend` by rows that have `10.0` where the corpus has `10`",
       "noted; both forms are shown",
       raw_files({{"first/interactions.csv", numbers}, {"then/interactions.csv", "user,item,time\n1,10.0,9\n"}}),
       {"prepare --input raw/first --output old --split leave-last-out --tokenizer " + "corpus/tokenizer"s,
        "prepare --input raw/then --output new --extend old"},
       0,
       {"1 of 1 new items looked at differ from known ones in their form alone, as '10.0' and '10'"},
       "1 10.0, 2 30"},
  };
}

Forms forms_of_advice() {
  constexpr auto kColumns = FaultKind::kColumns, kPublic = FaultKind::kPublicFiles;
  return {
      refused_form(
          kColumns, "counts_of_plays", "no header, counts of plays in column 3 (Million Song)",
          "refused; the option that leaves it out comes first", {{"interactions.tsv", "u\ta\t31\nu\tb\t2\nv\ta\t17\n"}},
          {"is column 3", "--columns user=1,item=2 (leaves column 3 out), or the same with ,time=3 or ,rating=3"}),
      refused_form(kColumns, "names_of_artists", "no header, names in column 3 (Last.fm 360K)",
                   "refused; no option reads names as numbers",
                   {{"interactions.tsv", "u\ta\tThe One\t31\nu\tb\tThe Two\t2\nv\ta\tThe One\t17\n"}},
                   {"is column 3 ('The One', 'The Two', 'The One')", "--columns user=1,item=2 (leaves column 3 out)"}),
      refused_form(kColumns, "places_of_check_ins", "no header, five columns, the time in column 2 (Gowalla)",
                   "refused; the option asks which is the item",
                   {{"interactions.tsv", with_each_row("@\t2010-10-1%T23:55:27Z\t30.23\t-97.79\t#", "")}},
                   {"5 columns and no header", "--columns user=1,item=N,time=2 (N: the item's, one of 3, 4, 5)"}),
      read_form(kColumns, "places_of_check_ins_settled", "the same with `--columns user=1,item=5,time=2`", "read",
                {{"interactions.tsv", with_each_row("@\t2010-10-1%T23:55:27Z\t30.23\t-97.79\t#", "")}}, {},
                "--columns user=1,item=5,time=2"),
      refused_form(
          kColumns, "names_in_chinese", "`用户,物品,时间` above the rows", "refused; the names are shown as they are",
          {{"interactions.csv", "用户,物品,时间\n" + rows_in_order(",", kEpoch, "")}}, {"(it has 用户, 物品, 时间)"}),
      {kColumns,
       "no_time",
       "a column `date` that is a birthday, with `--columns time=none`",
       "read without times",
       raw_files({{"interactions.csv", "user,item,date\nu,a,1980-01-01\nu,b,1980-01-01\nv,a,1990-02-02\n"}}),
       {kPrepareForm + " --columns time=none"s},
       0,
       {"2 users, 2 items, 3 interactions", "not used: date"}},
      read_form(kPublic, "slashes_that_tell_nothing", "times as `3/1/2011 7:06:01 AM`, no day above 12",
                "read with the month first, noted",
                {{"interactions.csv", "user,item,time\n" + rows_in_order(",", "3/1/2011 7:06:0", " AM")}},
                {"'3/1/2011 7:06:03 AM' are read as month/day/year"}),
      refused_form(kPublic, "years_and_seconds", "times as `1998` and as `1531001351`", "refused with a place of each",
                   {{"interactions.csv", "user,item,time\nu,a,1998\nu,b,1531001351\nv,a,1531001352\n"}},
                   {"1 of 3 times are plain numbers (interactions.csv:2: 1998), the others in seconds"}),
      refused_form(kPublic, "json_over_lines", "an object of JSON over several lines", "refused; jq is named",
                   {{"interactions.jsonl", "{\n  \"user\": \"u\",\n  \"item\": \"a\"\n}\n"}},
                   {"begins an object of several lines; write one object per line: jq -c ."}),
  };
}

}  // namespace

Forms forms_of_bytes() {
  Forms all = forms_of_kinds_of_files();
  for (const Forms& forms : {forms_of_like_ids(), forms_of_advice()}) all.insert(all.end(), forms.begin(), forms.end());
  return all;
}

}  // namespace cllm::testing
