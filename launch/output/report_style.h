#pragma once

namespace cllm {

/// Light by default, dark when the reader's system is. The series colours keep at least 3:1 contrast on both grounds.
inline constexpr char kReportStyle[] = R"css(
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--text:#1b2330;--quiet:#5b6676;--line:#dfe3e9;--mark:#eef4ff;
--series-1:#2563eb;--series-2:#c2570c;--series-3:#0f8a5f;--series-4:#8b3fd1;--series-5:#c4285a;--series-6:#5f6b7a}
@media(prefers-color-scheme:dark){:root{--ground:#12161c;--card:#1b212a;--text:#e6eaf0;--quiet:#9aa6b5;--line:#313a47;--mark:#1f2d47;
--series-1:#6ea0ff;--series-2:#f2994a;--series-3:#4cc38a;--series-4:#c08cf5;--series-5:#f4739b;--series-6:#a3afbf}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:34px 0 12px}
p{margin:4px 0;color:var(--quiet)}
.tiles{display:flex;flex-wrap:wrap;gap:14px;margin-top:20px}
.tile,figure,.table{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 18px}
.tile{min-width:150px}.tile b{display:block;font-size:26px;font-variant-numeric:tabular-nums}.tile span{color:var(--quiet);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(350px,1fr));gap:14px}
.charts.wide{grid-template-columns:1fr}
figure{margin:0}figcaption{font-weight:600}
svg{width:100%;height:auto;display:block}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--quiet);margin-bottom:4px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:6px}
.legend b{color:var(--text);font-variant-numeric:tabular-nums}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--quiet);stroke-width:1}
.tick{fill:var(--quiet);font-size:12px}
polyline{fill:none;stroke-width:2;stroke-linejoin:round}
.table{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:6px 12px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{color:var(--quiet);font-weight:600;font-size:13px}
tr:last-child td{border-bottom:0}tr.own td{font-weight:600;background:var(--mark)}
td.why{text-align:left;white-space:normal}
.sections{columns:3 320px;column-gap:14px}
.sections .table{break-inside:avoid;margin:0 0 14px}.sections td{white-space:normal;overflow-wrap:anywhere;font-size:13px;padding:3px 8px}
.sections h3{font-size:14px;margin:0 0 6px}.changed td{background:var(--mark);font-weight:600}
)css";

}  // namespace cllm
